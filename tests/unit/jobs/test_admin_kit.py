"""An administrator's kit: errors are reported before the login."""

from __future__ import annotations

import json
import socket
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from deploy.cli.admin_session import ENV_ADMIN_KIT, choose_kit, find_kit
from deploy.cli.app import app
from deploy.cli.context import Context
from deploy.errors import Failed, InputError
from deploy.session.console import _typed
from deploy.session.kit import AdminKit

NOW = datetime.now(timezone.utc)


def make_kit(
    folder: Path, port: int, begin: timedelta = -timedelta(days=1), end: timedelta = timedelta(days=1)
) -> Path:
    startup = folder / "startup"
    startup.mkdir()
    admin = {"username": "ada@example.org", "host": "127.0.0.1", "port": port}
    (startup / "fed_admin.json").write_text(json.dumps({"admin": admin}))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ada@example.org")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW + begin).not_valid_after(NOW + end)
    (startup / "client.crt").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return folder


@pytest.fixture
def listening() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_valid_kit_of_a_listening_server_passes(tmp_path: Path, listening: int) -> None:
    AdminKit.read(make_kit(tmp_path, listening)).check()


def test_an_unreachable_server_is_reported_with_its_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(Failed, match=rf"no server answers at 127\.0\.0\.1:{free}"):
        AdminKit.read(make_kit(tmp_path, free)).check()


@pytest.mark.parametrize(
    ("begin", "end", "message"),
    [
        (-9, -2, r"ada@example\.org expired on \d{4}-.*flarefleet provision --renew"),
        (2, 9, "correct it if it is wrong"),
    ],
)
def test_an_invalid_certificate_is_reported_with_the_remedy(
    tmp_path: Path, listening: int, begin: int, end: int, message: str
) -> None:
    kit = make_kit(tmp_path, listening, timedelta(days=begin), timedelta(days=end))
    with pytest.raises(Failed, match=message):
        AdminKit.read(kit).check()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"admin": {}}', '{"admin": {"username": "a", "host": "h", "port": "x"}}'],
)
def test_an_invalid_kit_is_reported_with_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "startup").mkdir()
    (tmp_path / "startup" / "fed_admin.json").write_text(content)
    with pytest.raises(InputError, match=r"fed_admin\.json: is not a valid"):
        AdminKit.read(tmp_path)


def test_a_folder_that_is_not_a_kit_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an administrator's startup kit"):
        AdminKit.read(tmp_path)


def test_the_release_folder_of_an_administrator_stands_for_its_kit(tmp_path: Path, listening: int) -> None:
    release = tmp_path / "ada@example.org"
    (release / "kit").mkdir(parents=True)
    (release / "INSTALL.md").write_text("install")
    make_kit(release / "kit", listening)

    assert AdminKit.read(release).folder == release / "kit"


def test_a_folder_with_several_kits_is_not_a_kit(tmp_path: Path, listening: int) -> None:
    for name in ("ada", "bob"):
        (tmp_path / name).mkdir()
        make_kit(tmp_path / name, listening)

    with pytest.raises(InputError, match="not an administrator's startup kit"):
        AdminKit.read(tmp_path)


def test_the_kit_of_a_command_is_the_given_one_the_project_or_the_working_directory(
    tmp_path: Path, listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    context = Context(tmp_path / "project.yml", tmp_path / "workspace")
    with pytest.raises(InputError, match=f"--admin-kit FOLDER, or {ENV_ADMIN_KIT}"):
        choose_kit(context, None)
    make_kit(tmp_path, listening)
    assert choose_kit(context, None) == tmp_path
    context.project_file.write_text("name: clinics")
    assert choose_kit(context, None) is None
    assert choose_kit(context, tmp_path / "given") == tmp_path / "given"


@pytest.mark.parametrize("exists", [True, False])
def test_a_project_that_is_named_excludes_the_kits_of_the_environment_and_the_working_directory(
    tmp_path: Path, listening: int, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    make_kit(tmp_path, listening)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ENV_ADMIN_KIT, str(tmp_path))
    if exists:
        Path("b.yml").write_text("{}")

    for arguments in (["--project", "b.yml", "delete", "latest"], ["abort", "latest", "--project", "b.yml"]):
        result = CliRunner().invoke(app, arguments)
        assert "b.yml" in str(result.exception)


def test_a_kit_of_the_environment_beside_a_project_yml_is_named_with_its_server(
    tmp_path: Path, listening: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kit").mkdir()
    kit = make_kit(tmp_path / "kit", listening)
    monkeypatch.setenv(ENV_ADMIN_KIT, str(kit))
    context = Context(Path("project.yml"), Path("workspace"))
    assert choose_kit(context, None) == kit
    assert capsys.readouterr().err == ""

    context.project_file.write_text("name: clinics")
    assert choose_kit(context, None) == kit
    said = capsys.readouterr().err
    assert f"127.0.0.1:{listening}" in said
    assert "--project project.yml" in said


def test_an_administrator_of_project_yml_excludes_a_kit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belongs to one administrator"):
        find_kit(Context(tmp_path, tmp_path), "ada@example.org", tmp_path)


@pytest.mark.parametrize("commands", ["list_jobs\n", "ada@example.org\nlist_jobs\n"])
def test_commands_for_the_console_begin_with_the_name_of_the_user(commands: str) -> None:
    assert _typed("ada@example.org", commands) == "ada@example.org\nlist_jobs\n"


def test_a_borrowed_kit_links_to_the_key_and_keeps_nvflares_files_out_of_the_kit(
    tmp_path: Path, listening: int
) -> None:
    kit = AdminKit.read(make_kit(tmp_path, listening))
    with kit.borrowed() as folder:
        (folder / "transfer").mkdir()
        assert (folder / "startup").is_symlink()
        assert (folder / "startup" / "client.crt").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["startup"]
    assert (tmp_path / "startup" / "client.crt").exists()
