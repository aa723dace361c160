"""The project and workspace that the demo uses."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.checkout import CHECKOUT
from deploy.demo.paths import reserved_paths
from deploy.ports import free_ports
from deploy.project import Project, load_project
from deploy.workspace import Workspace

PROJECT_FILE = CHECKOUT / "project.yml"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project.yml of the repository, on a free port."""
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
    """A process that uses the federation's port."""
    with socket.create_server(("127.0.0.1", project.server.fed_learn_port)) as taken:
        yield taken


def test_an_unused_federation_is_used_directly(project: Project, home: Workspace) -> None:
    with reserved_paths(project, home) as paths:
        assert paths.project is project
        assert paths.workspace == home
        assert paths.copy_reason == ""


def test_a_port_in_use_leads_to_a_copy_on_a_free_port(
    project: Project, home: Workspace, listener: socket.socket
) -> None:
    before = project.path.read_bytes()

    with reserved_paths(project, home) as paths:
        taken = project.server.fed_learn_port
        assert f"Port {taken} is in use by " in paths.copy_reason
        assert f"process {os.getpid()}" in paths.copy_reason
        assert paths.project.server.fed_learn_port not in (taken, 0)
        assert paths.project.server.admin_port == paths.project.server.fed_learn_port
        assert paths.workspace.root != home.root
        with socket.create_server(("", paths.project.server.fed_learn_port)):
            pass
        assert _without_ports(paths.project) == _without_ports(project)
    assert project.path.read_bytes() == before


def test_a_requested_port_is_used(project: Project, home: Workspace) -> None:
    wanted = free_ports(1)[0]

    with reserved_paths(project, home, port=wanted) as paths:
        assert paths.project.server.fed_learn_port == wanted
        assert paths.copy_reason == f"Port {wanted} was requested"


def test_concurrent_demos_do_not_share_a_federation(project: Project, home: Workspace) -> None:
    with reserved_paths(project, home) as first, reserved_paths(project, home) as second:
        assert second.copy_reason == "Another demo is running"
        assert first.workspace.root != second.workspace.root
        assert first.project.server.fed_learn_port != second.project.server.fed_learn_port
    with reserved_paths(project, home) as third:
        assert third.workspace == home


def test_the_workspace_can_be_provisioned_after_a_copy(
    project: Project, home: Workspace, listener: socket.socket
) -> None:
    from deploy.provision import provision

    with reserved_paths(project, home):
        pass

    assert provision(project, home).created


def _without_ports(project: Project) -> dict[str, object]:
    plain = project.model_dump(exclude={"path", "document"})
    for port in ("fed_learn_port", "admin_port"):
        plain["server"].pop(port)
    return plain
