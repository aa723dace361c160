"""NVFlare's main programs: the parents of server and site, and their job processes."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

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


def load_parent(role: Role) -> ModuleType:
    """Import the program of a parent. Its `main` takes what its `parse_arguments` makes of `sys.argv`.

    Raises:
        RuntimeError: NVFlare does not support this Python version.
    """
    from nvflare.private.fed.app.utils import version_check

    version_check()
    return importlib.import_module(_PARENTS[role])


def load_job_process(role: Role) -> ModuleType:
    """Import the program of a job process; it has the same functions."""
    return importlib.import_module(_JOB_PROCESSES[role])
