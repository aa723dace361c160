"""Where the demo's federation runs: as project.yml says, or on another port if something is in its way."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from deploy.project import Project, load_project
from deploy.runtimes.ports import free_ports, holder_of, is_free
from deploy.runtimes.process import ProcessRuntime
from deploy.runtimes.protocol import SiteState
from deploy.workspace import Workspace

ALL_INTERFACES = ""


@dataclass(frozen=True)
class Place:
    """A federation that is the demo's own while it lasts."""

    project: Project
    workspace: Workspace
    why_elsewhere: str = ""
    """What was in the way of the federation that project.yml describes; empty if nothing was."""


@contextmanager
def own_place(project: Project, home: Workspace, port: int | None = None) -> Iterator[Place]:
    """The federation of `project` if nobody uses it and its port is free, or else a copy on a free port.

    Args:
        home: the workspace of `project`; copies are kept in its folder of demos.
        port: the port that the user asked for; None for project.yml's.
    """
    home.demo.mkdir(parents=True, exist_ok=True)
    with (home.demo / ".lock").open("w") as lock:
        obstacle = _obstacle(project, home, lock.fileno(), port)
        if obstacle:
            yield _copy(project, home.demo, port or _free_port(), obstacle)
        else:
            yield Place(project, home)


def _obstacle(project: Project, home: Workspace, lock: int, port: int | None) -> str:
    """Why the federation of project.yml itself cannot be used; empty if it can."""
    server = project.server
    if port not in (None, server.fed_learn_port):
        return f"port {port} was asked for"
    if port is not None:
        return ""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "another demo is running"
    gone = (SiteState.STOPPED, SiteState.EXITED)
    if any(site.state not in gone for site in ProcessRuntime(project, home).status().sites):
        return f"the federation {project.name} is up, and stays as it is"
    for wanted in (server.fed_learn_port, server.admin_port):
        if not is_free(wanted, ALL_INTERFACES):
            holder = holder_of(wanted)
            return f"port {wanted} is taken{f' by {holder}' if holder else ''}"
    return ""


def _free_port() -> int:
    return next(port for port in free_ports(20) if is_free(port, ALL_INTERFACES))


def _copy(project: Project, folder: Path, port: int, obstacle: str) -> Place:
    """The same federation on another port, with a project.yml and certificates of its own."""
    document = project.document_for_port(port)
    root = folder / f"federation-{port}"
    root.mkdir(exist_ok=True)
    file = root / "project.yml"
    head = f"# Made by `flarefleet demo` from {project.path}: {obstacle}.\n"
    beside = root / ".project.yml.new"
    beside.write_text(head + yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    beside.replace(file)
    copied = load_project(file)
    return Place(copied, Workspace(root / copied.name), obstacle)
