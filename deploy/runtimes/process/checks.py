"""What `up` requires of this machine before it starts processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.hosts import local_server_host
from deploy.ports import refuse_taken_ports
from fl_app.checks.check import Category, Check

if TYPE_CHECKING:
    from deploy.runtimes.process.runtime import ProcessRuntime


def _server_host(runtime: ProcessRuntime) -> str:
    return f"the server is {local_server_host(runtime.project)} on this machine"


def _ports(runtime: ProcessRuntime) -> str:
    refuse_taken_ports(runtime.ports_to_open())
    return "free, or in use by this federation's server"


CHECKS: tuple[Check[ProcessRuntime], ...] = (
    Check(
        "process-server-name",
        Category.PROCESS,
        "A name in the server's certificate resolves to this machine.",
        "Add `localhost` to the server's `host_names` in project.yml and provision again.",
        _server_host,
    ),
    Check(
        "process-ports",
        Category.PROCESS,
        "The federation's ports are free on this machine.",
        "Stop the process that the message names, or choose another `fed_learn_port` and provision again.",
        _ports,
    ),
)
