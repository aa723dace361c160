"""Choose the federation of a demo run: that of project.yml, or a copy of it on another port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from deploy.ports import free_ports, in_use, is_free
from deploy.project import Project, load_project
from deploy.runtimes.process import ProcessRuntime
from deploy.workspace import Workspace
from fl_app.files import write_atomically

ALL_INTERFACES = ""


@dataclass(frozen=True)
class DemoPaths:
    """The project and the workspace of one demo run."""

    project: Project
    workspace: Workspace
    copy_reason: str = ""
    """Reason for a copy; empty if the run uses the federation of project.yml."""


@contextmanager
def reserved_paths(project: Project, home: Workspace, port: int | None = None) -> Iterator[DemoPaths]:
    """Reserve the federation of `project` if it is unused and its port is free, otherwise a copy.

    Args:
        home: the workspace of `project`; it also contains the copies.
        port: the port of the server (default: the one in project.yml).
    """
    home.demo.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.demo / ".lock")
    try:
        obstacle = _obstacle(project, home, lock, port)
        if obstacle:
            yield _copy(project, home.demo, port or free_ports(1)[0], obstacle)
        else:
            yield DemoPaths(project, home)
    finally:
        lock.release()


def _obstacle(project: Project, home: Workspace, lock: FileLock, port: int | None) -> str:
    """Return the reason why the run cannot use the federation of project.yml; empty if it can."""
    server = project.server
    if port not in (None, server.fed_learn_port):
        return f"Port {port} was requested"
    if port is not None:
        return ""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return "Another demo is running"
    if ProcessRuntime(project, home).status().is_up:
        return f"The federation {project.name} is running; the demo does not change it"
    for wanted in (server.fed_learn_port, server.admin_port):
        if not is_free(wanted, ALL_INTERFACES):
            return in_use(wanted)
    return ""


def _copy(project: Project, folder: Path, port: int, obstacle: str) -> DemoPaths:
    """Copy project.yml with another port; the copy has its own certificates."""
    document = project.document_for_port(port)
    root = folder / f"federation-{port}"
    root.mkdir(exist_ok=True)
    file = root / "project.yml"
    head = f"# Created by `flarefleet demo` from {project.path}: {obstacle}.\n"
    write_atomically(file, (head + yaml.safe_dump(document, sort_keys=False)).encode())
    copied = load_project(file)
    return DemoPaths(copied, Workspace(root / copied.name), obstacle)
