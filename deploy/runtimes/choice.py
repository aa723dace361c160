"""Which runtime a command means: the one it names, or the one that is up."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from deploy.errors import InputError, MachineError
from deploy.runtimes.protocol import Runtime

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.workspace import Workspace

BACKENDS = {
    "process": "deploy.runtimes.process:ProcessRuntime",
    "docker": "deploy.runtimes.docker.runtime:DockerRuntime",
    "kubernetes": "deploy.runtimes.kubernetes.runtime:KubernetesRuntime",
}
"""Name -> MODULE:CLASS, made with the project and its workspace. A new backend is one line here."""

DEFAULT = "process"


def open_runtime(name: str, project: Project, workspace: Workspace) -> Runtime:
    """The runtime of that name.

    Raises:
        InputError: there is none of that name.
        MachineError: this release does not have it yet.
    """
    if name not in BACKENDS:
        raise InputError(f"There is no runtime {name}; there are: {', '.join(BACKENDS)}.")
    module, _, attribute = BACKENDS[name].partition(":")
    try:
        made: Runtime = getattr(importlib.import_module(module), attribute)(project, workspace)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise MachineError(f"This release of Flarefleet cannot run a federation on {name} yet.") from error
    return made


def remember(workspace: Workspace, name: str | None) -> None:
    """Write down which runtime the federation was started on; None: on no one any more."""
    file = workspace.run("current")
    if name is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(".current.new")
    beside.write_text(f"{name}\n", encoding="utf-8")
    beside.replace(file)


def remembered(workspace: Workspace) -> str | None:
    """The runtime that the federation was started on; None if it is not up."""
    try:
        name = workspace.run("current").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return name if name in BACKENDS else None


def current_runtime(project: Project, workspace: Workspace) -> Runtime:
    """The runtime that the federation was started on, or else the default one, on which nothing runs then."""
    return open_runtime(remembered(workspace) or DEFAULT, project, workspace)
