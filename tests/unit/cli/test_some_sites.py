"""The commands up, down and restart with some sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.federation_files import make_kits_and_releases
from deploy.project import load_project
from deploy.runtimes import choice
from deploy.runtimes.protocol import FederationStatus
from deploy.workspace import Workspace
from tests.federation.federation import SERVER, write_project

calls: list[tuple[str, Any]] = []


class Recorder:
    """A runtime that records what it is asked to do."""

    name = "process"

    def __init__(self, *_: object) -> None:
        pass

    def up(self, *_: object, **options: Any) -> FederationStatus:
        calls.append(("up", options))
        return FederationStatus(project="clinics", runtime=self.name)

    def stop(self, names: Sequence[str]) -> None:
        calls.append(("stop", names))

    def down(self) -> None:
        calls.append(("down", None))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs flarefleet on a provisioned federation."""
    monkeypatch.setitem(choice.BACKENDS, "process", f"{__name__}:Recorder")
    calls.clear()
    file = write_project(tmp_path, sites=2)
    project = load_project(file)
    make_kits_and_releases(project, Workspace(tmp_path / "workspace" / project.name))
    options = ["--project", str(file), "--workspace", str(tmp_path / "workspace")]
    return lambda *words: CliRunner().invoke(app, [*words, *options])


def test_up_and_down_with_sites_concern_only_those(run: Callable[..., Result]) -> None:
    assert run("up", "site-1", SERVER, "--timeout", "5").exit_code == 0
    assert run("down", "site-2").exit_code == 0

    assert calls == [("up", {"only": ["site-1", SERVER], "timeout": 5.0}), ("stop", ["site-2"])]


def test_restart_stops_and_starts(run: Callable[..., Result]) -> None:
    assert run("restart", "site-2").exit_code == 0

    assert calls == [("stop", ["site-2"]), ("up", {"only": ["site-2"]})]


@pytest.mark.parametrize("command", ["up", "down", "restart"])
def test_an_unknown_site_is_rejected(run: Callable[..., Result], command: str) -> None:
    answer = run(command, "site-1", "site-9")

    assert "no server or site site-9; available: flare-server, site-1, site-2" in str(answer.exception)
    assert calls == []


def test_the_volumes_of_one_site_are_not_deleted(run: Callable[..., Result]) -> None:
    assert "--volumes" in str(run("down", "site-1", "--volumes").exception)
    assert calls == []
