"""Select the runtime of a command: the one that it names, or the one that the federation was started on."""

from __future__ import annotations

import importlib
from enum import Enum
from typing import TYPE_CHECKING

from deploy.errors import InputError
from fl_app.files import write_atomically

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.runtimes.protocol import Runtime
    from deploy.workspace import Workspace

BACKENDS = {
    "process": "deploy.runtimes.process:ProcessRuntime",
    "docker": "deploy.runtimes.docker.runtime:DockerRuntime",
    "kubernetes": "deploy.runtimes.kubernetes.runtime:KubernetesRuntime",
}
"""Name -> MODULE:CLASS. The class is called with the project and its workspace."""

DEFAULT = "process"


class RuntimeName(str, Enum):
    """A runtime that a user can choose: the keys of BACKENDS."""

    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


def open_runtime(name: str, project: Project, workspace: Workspace) -> Runtime:
    """Return the runtime `name`.

    Raises:
        InputError: no such runtime.
    """
    if name not in BACKENDS:
        raise InputError(f"There is no runtime {name}; available: {', '.join(BACKENDS)}.")
    module, _, attribute = BACKENDS[name].partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), attribute)(project, workspace)
    return runtime


def remember(workspace: Workspace, name: str | None) -> None:
    """Record the runtime that the federation was started on; None removes the record."""
    file = workspace.run("current")
    if name is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, f"{name}\n".encode())


def remembered(workspace: Workspace) -> str | None:
    """Return the runtime that the federation was started on; None if it is not running."""
    try:
        name = workspace.run("current").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return name if name in BACKENDS else None
