"""A backup of the state folder: made, verified, restored, and refused when it is unusable."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.backup import encryption, state
from deploy.cli.app import app
from deploy.errors import Failed, InputError
from tests.documented import ROOT, commands_in
from tests.documented import run as run_line
from tests.unit.provision.federation import Federation, assert_valid, files_in

PASSPHRASE = "correct horse battery staple"


def invoke(federation: Federation, command: str, *arguments: object) -> Result:
    options = ["--project", str(federation.project.path), "--workspace", str(federation.folder / "workspace")]
    secret = federation.folder / "passphrase"
    if not secret.exists():
        secret.write_text(f"{PASSPHRASE}\n")
        secret.chmod(0o600)
    words = [*options, command, *map(str, arguments), "--passphrase-file", str(secret)]
    return CliRunner().invoke(app, words, catch_exceptions=True)


def run(federation: Federation, command: str, *arguments: object) -> str:
    result = invoke(federation, command, *arguments)
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture
def backup(federation: Federation) -> Path:
    file = federation.folder / "hospitals.backup"
    run(federation, "backup", file)
    return file


def test_a_backup_holds_no_readable_key_and_only_its_owner_may_read_it(
    federation: Federation, backup: Path
) -> None:
    content = backup.read_bytes()

    assert backup.stat().st_mode & 0o777 == 0o600
    assert content.startswith(b"flarefleet backup 1\n")
    assert b"PRIVATE KEY" not in content
    assert b"site-1" not in content
    assert [file.name for file in federation.folder.iterdir() if "unverified" in file.name] == []


def test_provisioning_after_a_restore_over_the_state_changes_nothing(
    federation: Federation, backup: Path
) -> None:
    before = files_in(federation.workspace.kits, federation.workspace.release)
    shutil.rmtree(federation.workspace.state)

    run(federation, "restore", backup)
    report = federation.provision()

    assert not report.changed
    assert report.unchanged == 4
    assert files_in(federation.workspace.kits, federation.workspace.release) == before


def test_a_lost_workspace_gets_the_same_keys_and_certificates_again(
    federation: Federation, backup: Path
) -> None:
    names = ("site-1", "site-2", "flare.example.org", "admin@example.org")
    certificates = {name: federation.certificate(name) for name in names}
    authority = federation.authority("site-1")
    shutil.rmtree(federation.folder / "workspace")

    run(federation, "restore", backup)
    federation.provision()

    assert {name: federation.certificate(name) for name in names} == certificates
    assert federation.authority("site-1") == authority
    assert_valid(federation.workspace.kit("site-1"))
    assert not federation.provision().changed
    modes = {file.stat().st_mode & 0o777 for file in federation.workspace.state.iterdir()}
    assert (federation.workspace.state.stat().st_mode & 0o777, modes) == (0o700, {0o600})


def test_restore_replaces_a_state_only_with_force_and_keeps_the_old_one(
    federation: Federation, backup: Path
) -> None:
    federation.add("site-3")
    federation.provision()
    current = files_in(federation.workspace.state)

    refused = invoke(federation, "restore", backup)
    assert isinstance(refused.exception, InputError)
    assert "has a state already" in str(refused.exception)
    assert files_in(federation.workspace.state) == current

    report = json.loads(run(federation, "restore", backup, "--force", "--json"))
    kept = Path(report["replaced"])
    assert kept.parent == federation.workspace.root
    assert kept.stat().st_mode & 0o777 == 0o700
    assert [content for content, _ in files_in(kept).values()] == [content for content, _ in current.values()]
    assert (
        json.loads((federation.workspace.state / "kits.json").read_text())["kits"]
        .keys()
        .isdisjoint({"site-3"})
    )


def test_a_wrong_passphrase_is_named_as_the_reason(federation: Federation, backup: Path) -> None:
    (federation.folder / "passphrase").write_text("another passphrase")

    result = invoke(federation, "restore", backup, "--force")

    assert f"The passphrase of {backup} is wrong." in str(result.exception)


def test_a_backup_of_another_federation_is_refused(federation: Federation, backup: Path) -> None:
    federation.document["name"] = "clinics"

    result = invoke(federation, "restore", backup)

    assert isinstance(result.exception, InputError)
    assert "is a backup of hospitals" in str(result.exception)


def test_a_backup_replaces_no_file_without_force_and_lies_outside_of_the_workspace(
    federation: Federation, backup: Path
) -> None:
    before = backup.read_bytes()
    cases = {
        backup: "exists",
        federation.workspace.root / "a": "is inside of",
        federation.folder: "name a file",
    }
    for file, message in cases.items():
        result = invoke(federation, "backup", file)
        assert isinstance(result.exception, InputError)
        assert message in str(result.exception)

    run(federation, "backup", backup, "--force")
    assert backup.read_bytes() != before


def test_a_copy_that_differs_on_the_disk_replaces_nothing(
    federation: Federation, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = backup.read_bytes()
    monkeypatch.setattr("deploy.backup.state.decrypt", lambda file, passphrase: (None, b"other content"))

    result = invoke(federation, "backup", backup, "--force")

    assert isinstance(result.exception, Failed)
    assert backup.read_bytes() == before
    assert sorted(file.name for file in federation.folder.glob(".*backup*")) == []


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("short", 0o600, "at least 12 characters"),
        ("", 0o600, "is empty"),
        (PASSPHRASE, 0o644, "chmod 600"),
    ],
)
def test_a_weak_or_exposed_passphrase_is_refused(
    federation: Federation, content: str, mode: int, message: str
) -> None:
    secret = federation.folder / "passphrase"
    secret.write_text(content)
    secret.chmod(mode)

    result = invoke(federation, "backup", federation.folder / "backup")

    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert PASSPHRASE not in str(result.exception)


def test_the_passphrase_may_come_from_a_pipe(federation: Federation) -> None:
    reader, writer = os.pipe()
    os.write(writer, PASSPHRASE.encode())
    os.close(writer)
    options = ["--project", str(federation.project.path), "--workspace", str(federation.folder / "workspace")]
    file = federation.folder / "piped"

    result = CliRunner().invoke(
        app, [*options, "backup", str(file), "--passphrase-file", f"/dev/fd/{reader}"]
    )
    os.close(reader)

    assert result.exit_code == 0, result.exception
    assert encryption.decrypt(file, PASSPHRASE)[0].project == "hospitals"


def test_without_a_terminal_or_a_file_the_passphrase_is_missing(federation: Federation) -> None:
    options = ["--project", str(federation.project.path), "--workspace", str(federation.folder / "workspace")]

    result = CliRunner().invoke(app, [*options, "backup", str(federation.folder / "backup")])

    assert isinstance(result.exception, InputError)
    assert "--passphrase-file" in str(result.exception)


def test_the_drill_of_the_page_about_backups_succeeds(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = federation.folder
    assert federation.project.path == folder / "project.yml"
    (folder / "passphrase").write_text(PASSPHRASE)
    (folder / "passphrase").chmod(0o600)
    commands = [one.line for one in commands_in(ROOT / "docs" / "backup.md")]
    assert len(commands) >= 6

    monkeypatch.setenv("HOME", str(folder))
    (folder / "backups").mkdir()
    for line in commands:
        run_line(line.replace("hospital-1", "site-1"), folder)


def test_a_key_that_is_made_while_the_backup_is_written_is_newer_than_its_record(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.provision()
    certificates = federation.workspace.state / "cert.json"
    encrypt = state.encrypt

    def renew_meanwhile(*arguments: Any, **options: Any) -> bytes:
        certificates.write_bytes(certificates.read_bytes())
        return encrypt(*arguments, **options)

    monkeypatch.setattr(state, "encrypt", renew_meanwhile)
    run(federation, "backup", federation.folder / "hospitals.backup")

    record = federation.workspace.root / state.RECORD
    assert record.stat().st_mtime < certificates.stat().st_mtime


def test_a_restore_that_is_killed_keeps_the_old_state(
    federation: Federation, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = state.replace_folder
    (federation.workspace.state / "old").touch()

    def be_killed(new: Path, folder: Path) -> None:
        replace(new, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(state, "replace_folder", be_killed)
    invoke(federation, "restore", backup, "--force")

    assert not (federation.workspace.state / "old").exists()
    (kept,) = federation.workspace.root.glob("state.replaced-*")
    assert (kept / "old").exists()
