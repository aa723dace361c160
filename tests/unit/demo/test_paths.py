"""Where the demo's federation runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.paths import own_place
from deploy.project import Project, load_project
from deploy.runtimes.ports import free_ports
from deploy.workspace import Workspace

PROJECT_FILE = Path(__file__).parents[3] / "project.yml"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project.yml that the repository comes with, on a port that is free."""
    file = tmp_path / "project.yml"
    text = PROJECT_FILE.read_text(encoding="utf-8")
    assert "8002" in text
    file.write_text(text.replace("8002", str(free_ports(1)[0])), encoding="utf-8")
    return load_project(file)


@pytest.fixture
def home(tmp_path: Path, project: Project) -> Workspace:
    return Workspace(tmp_path / "workspace" / project.name)


@pytest.fixture
def listener(project: Project) -> Iterator[socket.socket]:
    """Somebody who has the federation's port."""
    with socket.create_server(("127.0.0.1", project.server.fed_learn_port)) as taken:
        yield taken


def test_a_free_federation_is_used_as_it_is(project: Project, home: Workspace) -> None:
    with own_place(project, home) as place:
        assert place.project is project
        assert place.workspace == home
        assert place.why_elsewhere == ""


def test_a_taken_port_leads_to_a_copy_on_a_free_one_and_says_who_has_it(
    project: Project, home: Workspace, listener: socket.socket
) -> None:
    before = project.path.read_bytes()

    with own_place(project, home) as place:
        taken = project.server.fed_learn_port
        assert f"port {taken} is taken by " in place.why_elsewhere
        assert f"process {os.getpid()}" in place.why_elsewhere
        assert place.project.server.fed_learn_port not in (taken, 0)
        assert place.project.server.admin_port == place.project.server.fed_learn_port
        assert place.workspace.root != home.root
        with socket.create_server(("", place.project.server.fed_learn_port)):
            pass  # it is free indeed
        assert _without_ports(place.project) == _without_ports(project)
    assert project.path.read_bytes() == before


def test_a_port_that_was_asked_for_is_used(project: Project, home: Workspace) -> None:
    wanted = free_ports(1)[0]

    with own_place(project, home, port=wanted) as place:
        assert place.project.server.fed_learn_port == wanted
        assert place.why_elsewhere == f"port {wanted} was asked for"


def test_two_demos_at_once_do_not_share_a_federation(project: Project, home: Workspace) -> None:
    with own_place(project, home) as first, own_place(project, home) as second:
        assert second.why_elsewhere == "another demo is running"
        assert first.workspace.root != second.workspace.root
        assert first.project.server.fed_learn_port != second.project.server.fed_learn_port
    with own_place(project, home) as third:
        assert third.workspace == home


def test_a_copy_leaves_the_workspace_fit_for_provisioning(
    project: Project, home: Workspace, listener: socket.socket
) -> None:
    from deploy.provision import provision

    with own_place(project, home):
        pass

    assert provision(project, home).created


def _without_ports(project: Project) -> dict[str, object]:
    plain = project.model_dump(exclude={"path", "document"})
    for port in ("fed_learn_port", "admin_port"):
        plain["server"].pop(port)
    return plain
