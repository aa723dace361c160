"""Which administrator a command acts as."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.errors import InputError
from deploy.project import Project, load_project
from deploy.session.administrators import choose_administrator
from deploy.workspace import Workspace
from tests.federation.federation import ADMIN, write_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(write_project(tmp_path, sites=1))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "workspace")
    config = made.kit(ADMIN) / "startup" / "fed_admin.json"
    config.parent.mkdir(parents=True)
    config.write_text("{}")
    return made


def test_the_default_is_the_first_one_allowed_to_submit_jobs(project: Project, workspace: Workspace) -> None:
    assert choose_administrator(project, workspace) == ADMIN
    assert choose_administrator(project, workspace, ADMIN) == ADMIN


def test_an_unknown_name_is_rejected_with_the_known_ones(project: Project, workspace: Workspace) -> None:
    with pytest.raises(InputError, match=f"available: {ADMIN}.*; did you mean {ADMIN}"):
        choose_administrator(project, workspace, ADMIN.replace("a", "aa", 1))


def test_an_administrator_without_kit_is_rejected_with_the_command_that_creates_it(
    project: Project, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"{ADMIN} has no startup kit .*flarefleet provision"):
        choose_administrator(project, Workspace(tmp_path / "empty"))


@pytest.mark.parametrize("name", ["nobody@example.org", ADMIN])
def test_the_command_exits_with_2(tmp_path: Path, name: str) -> None:
    file = write_project(tmp_path, sites=1)
    options = ["--project", str(file), "--workspace", str(tmp_path / "none")]

    error = CliRunner().invoke(app, [*options, "jobs", "--admin", name]).exception

    assert isinstance(error, InputError)
    assert error.exit_code == 2
