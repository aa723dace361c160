"""The output of `flarefleet provision`: text or JSON."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from deploy.cli.app import app
from tests.unit.provision.federation import SERVER, Federation


def run(federation: Federation, *arguments: str) -> str:
    options = ["--project", str(federation.project.path), "--workspace", str(federation.folder / "workspace")]
    result = CliRunner().invoke(app, [*options, "provision", *arguments])
    if result.exception:
        raise result.exception
    return result.stdout


def test_the_report_is_one_json_document(federation: Federation) -> None:
    federation.add("site-3")

    report = json.loads(run(federation, "--json"))

    assert report["created"] == ["site-3"]
    assert report["unchanged"] == 4
    assert report["workspace"] == str(federation.workspace.root)


def test_the_report_has_each_change_and_its_reason(federation: Federation) -> None:
    federation.entry("site-1")["org"] = "city"
    federation.remove("site-2")

    printed = run(federation)

    assert "renewed   site-1: its organization was county and is now city" in printed
    assert "removed   site-2: its kit is now in" in printed
    assert "NVFlare has no revocation: the server accepts its certificate until" in printed
    assert "hospitals: 0 created, 1 renewed, 1 removed, 2 unchanged" in printed


def test_long_lists_are_shortened(federation: Federation) -> None:
    federation.add(*(f"more-{number}" for number in range(15)))

    printed = run(federation)

    assert "created   more-9" in printed
    assert "and 5 more" in printed
    assert "more-10" not in printed


def test_an_expiring_authority_is_reported_with_its_consequence(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.set_root_validity(20)

    printed = run(federation)

    assert "expiring  certificate authority" in printed
    assert f"expiring  {SERVER}" in printed
    assert "replace every kit at the same time" in printed
