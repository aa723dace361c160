"""`provision --dry-run` says what a run would change, and writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.errors import MachineError
from deploy.federation_files import preview_kits_and_releases
from tests.unit.provision.federation import ADMIN, SERVER, Federation

Snapshot = dict[str, tuple[int, int, bytes | None]]


def snapshot(folder: Path) -> Snapshot:
    """Return the modification time, mode and content of every file and folder."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = os.lstat(path)
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_mode, content)
    return found


def add_site(federation: Federation) -> None:
    federation.add("site-3")


def remove_site(federation: Federation) -> None:
    federation.remove("site-2")


def change_org(federation: Federation) -> None:
    federation.entry("site-1")["org"] = "city"


def change_guard(federation: Federation) -> None:
    federation.document["deployment"] = {"guard": {"task_timeout_seconds": 60}}


def change_nothing(_: Federation) -> None:
    pass


EDITS = [add_site, remove_site, change_org, change_guard, change_nothing]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_dry_run_writes_nothing_and_announces_what_the_next_run_does(
    federation: Federation, edit: Callable[[Federation], None]
) -> None:
    edit(federation)
    project, workspace = federation.project, federation.workspace
    before = snapshot(workspace.root)

    preview = preview_kits_and_releases(project, workspace)

    assert snapshot(workspace.root) == before
    report = federation.provision()
    assert (preview.created, preview.renewed) == (report.created, report.renewed)
    assert [one.name for one in preview.removed] == [one.name for one in report.removed]
    assert preview.unchanged == report.unchanged
    written = {
        path
        for path, found in snapshot(workspace.root).items()
        if path.startswith("release/") and found[2] != before.get(path, (0, 0, None))[2]
    }
    announced = {f"release/{one.name}/{file}" for one in preview.releases for file in one.files}
    assert [path for path in written if not path.startswith(tuple(announced))] == []
    if edit in (change_guard, change_nothing):  # no kit is built
        assert announced == written
        assert bool(written) == (edit is change_guard)


def test_a_dry_run_of_a_new_federation_creates_no_workspace(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    file = federation.project.path

    answer = CliRunner().invoke(
        app, ["provision", "--dry-run", "--project", str(file), "--workspace", str(tmp_path / "workspace")]
    )

    assert answer.exit_code == 0, answer.output
    assert f"create    {SERVER}" in answer.output
    assert "release   site-1: INSTALL.md" in answer.output
    assert "3 to create, 0 to renew" in answer.output
    assert not federation.workspace.root.parent.exists()


def test_a_dry_run_of_a_renewal_names_the_certificates(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.set_root_validity(20)
    federation.provision()
    before = snapshot(federation.workspace.root)
    options = ["--project", str(federation.project.path), "--workspace", str(tmp_path / "workspace")]

    answer = CliRunner().invoke(app, ["provision", "--dry-run", "--renew", "--json", *options])

    document = json.loads(answer.output)
    assert "a new certificate authority" in document["renewed"][0]["reason"]
    assert {one["name"] for one in document["renewed"][1:]} == {SERVER, "site-1", ADMIN}
    assert {one["name"] for one in document["releases"]} == {SERVER, "site-1", ADMIN}
    assert document["expiring"] == []
    assert snapshot(federation.workspace.root) == before


def test_a_dry_run_refuses_a_foreign_folder(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.workspace.root.mkdir(parents=True)
    (federation.workspace.root / "thesis.tex").touch()

    with pytest.raises(MachineError, match=r"not a workspace of Flarefleet .*thesis\.tex"):
        preview_kits_and_releases(federation.project, federation.workspace)
