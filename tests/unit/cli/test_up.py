"""The command up."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.federation_files import make_kits_and_releases
from deploy.project import load_project
from deploy.runtimes import choice
from deploy.runtimes.protocol import FederationStatus
from deploy.workspace import Workspace
from tests.federation.federation import SERVER, write_project


class Cluster:
    """A runtime that starts nothing."""

    name = "kubernetes"

    def __init__(self, *_: object) -> None:
        pass

    def up(self, *_: object) -> FederationStatus:
        return FederationStatus(project="", runtime=self.name)


def test_up_on_kubernetes_installs_settings_that_changed_since_provisioning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(choice.BACKENDS, "kubernetes", f"{__name__}:Cluster")
    file = write_project(tmp_path, sites=1)
    project = load_project(file)
    workspace = Workspace(tmp_path / "workspace" / project.name)
    make_kits_and_releases(project, workspace)
    document = yaml.safe_load(file.read_text())
    document.setdefault("deployment", {})["guard"] = {"task_timeout_seconds": 60}
    file.write_text(yaml.safe_dump(document))

    options = ["--project", str(file), "--workspace", str(tmp_path / "workspace")]
    answer = CliRunner().invoke(app, [*options, "up", "--runtime", "kubernetes"])

    assert answer.exit_code == 0, answer.output
    values = yaml.safe_load((workspace.release / SERVER / "values.yaml").read_text())
    assert values["environment"] == {"FLARE_TASK_TIMEOUT": "60"}
