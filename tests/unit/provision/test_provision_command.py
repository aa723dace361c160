"""The output of `flarefleet provision`: text or JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from tests.unit.provision.federation import SERVER, Federation


@pytest.fixture
def run(federation: Federation):
    def run(*arguments: str) -> str:
        assert federation.project.name
        result = CliRunner().invoke(
            app,
            [
                "--project", str(federation.folder / "project.yml"),
                "--workspace", str(federation.folder / "workspace"), "provision", *arguments,
            ],
        )  # fmt: skip
        if result.exception:
            raise result.exception
        return result.stdout

    return run


def test_the_report_is_one_json_document(federation: Federation, run) -> None:
    federation.add("site-3")

    report = json.loads(run("--json"))

    assert report["created"] == ["site-3"]
    assert report["unchanged"] == 4
    assert report["workspace"] == str(federation.workspace.root)


def test_the_report_has_each_change_and_its_reason(federation: Federation, run) -> None:
    federation.entry("site-1")["org"] = "city"
    federation.remove("site-2")

    printed = run()

    assert "renewed   site-1: its organization was county and is now city" in printed
    assert "removed   site-2: its kit is now in" in printed
    assert "NVFlare has no revocation: the server accepts its certificate until" in printed
    assert "hospitals: 0 created, 1 renewed, 1 removed, 2 unchanged" in printed


def test_long_lists_are_shortened(federation: Federation, run) -> None:
    federation.add(*(f"more-{number}" for number in range(15)))

    printed = run()

    assert "created   more-9" in printed
    assert "and 5 more" in printed
    assert "more-10" not in printed


def test_an_expiring_authority_is_reported_with_its_consequence(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.set_root_validity(20)
    assert federation.project.name

    result = CliRunner().invoke(
        app, ["--project", str(tmp_path / "project.yml"), "--workspace", str(tmp_path / "w"), "provision"]
    )

    assert "expiring  certificate authority" in result.stdout
    assert f"expiring  {SERVER}" in result.stdout
    assert "replace every kit at the same time" in result.stdout


def test_an_unusable_workspace_exits_with_3_and_a_message(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    assert federation.project.name
    (tmp_path / "workspace").write_text("")

    done = subprocess.run(
        [str(Path(sys.executable).parent / "flarefleet"), "provision"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 3
    assert "workspace" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
