"""NVFlare's main programs: the parents of server and site, and their job processes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

USES = {
    "nvflare.private.fed.app.server.server_train:main": "run the server's parent",
    "nvflare.private.fed.app.server.server_train:parse_arguments": "read its command line",
    "nvflare.private.fed.app.client.client_train:main": "run a site's parent",
    "nvflare.private.fed.app.client.client_train:parse_arguments": "read its command line",
    "nvflare.private.fed.app.server.runner_process:main": "run the server's job process",
    "nvflare.private.fed.app.server.runner_process:parse_arguments": "read its command line",
    "nvflare.private.fed.app.client.worker_process:main": "run a site's job process",
    "nvflare.private.fed.app.client.worker_process:parse_arguments": "read its command line",
    "nvflare.private.fed.app.utils:version_check": "refuse unsupported Python versions",
}

Role = Literal["server", "client"]

_PARENTS = {
    "server": "nvflare.private.fed.app.server.server_train",
    "client": "nvflare.private.fed.app.client.client_train",
}
_JOB_PROCESSES = {
    "server": "nvflare.private.fed.app.server.runner_process",
    "client": "nvflare.private.fed.app.client.worker_process",
}


@dataclass(frozen=True)
class Program:
    """A main program of NVFlare; `main` takes what `parse_arguments` makes of `sys.argv`."""

    main: Callable[[Any], Any]
    parse_arguments: Callable[[], Any]


def load_parent(role: Role) -> Program:
    """Import the program of a parent. Raise RuntimeError if NVFlare does not support this Python version."""
    from nvflare.private.fed.app.utils import version_check

    version_check()
    return _load(_PARENTS[role])


def load_job_process(role: Role) -> Program:
    """Import the program of a job process."""
    return _load(_JOB_PROCESSES[role])


def _load(module: str) -> Program:
    program = importlib.import_module(module)
    return Program(program.main, program.parse_arguments)
