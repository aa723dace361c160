"""The support bundle of an administrator, such as a data scientist, who has only a startup kit."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from deploy.bundle import admin
from deploy.cli.app import app
from deploy.session.session import FederationState
from tests.bundles import files_in, key_lines
from tests.unit.bundle.test_redaction import SECRET_KEYS, SECRETS
from tests.unit.provision.federation import ADMIN, SERVER, Federation


@pytest.fixture
def release(federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the operator handed to an administrator, on a laptop that has nothing else."""
    federation.provision()
    folder = tmp_path / "laptop" / "release"
    shutil.copytree(federation.workspace.release / ADMIN, folder)
    shutil.rmtree(federation.folder / "workspace")
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    return folder


@pytest.mark.parametrize("how", ["option", "variable", "working directory"])
def test_an_administrator_makes_a_bundle_from_the_kit_alone(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    archive, options = tmp_path / "bundle.tar.gz", []
    monkeypatch.setenv("WANDB_API_KEY", "env-secret-0815")
    config = release / "kit" / "startup" / "fed_admin.json"
    document = json.loads(config.read_text())
    document["admin"] |= {"port": 1, "note": "the key is env-secret-0815"}
    config.write_text(json.dumps(document))
    if how == "option":
        options = ["--admin-kit", str(release)]
    elif how == "variable":
        monkeypatch.setenv("FLAREFLEET_ADMIN_KIT", str(release))
    else:
        monkeypatch.chdir(release)

    answer = CliRunner().invoke(app, ["bundle", "-o", str(archive), *options])

    assert answer.exit_code == 0, (answer.output, answer.exception)
    files = files_in(archive)
    assert {"versions.json", "files.txt", "doctor.json", "startup/fed_admin.json"} <= files.keys()
    assert ADMIN in files["startup/fed_admin.json"]
    assert "600" in next(line for line in files["files.txt"].splitlines() if "client.key" in line)
    assert "session: " in files["problems.txt"]  # no server
    everything = "\n".join(files.values())
    secrets = {**key_lines(release), "environment": "env-secret-0815"}
    assert len(secrets) > 10
    assert [where for where, secret in secrets.items() if secret in everything] == []
    assert archive.stat().st_mode & 0o777 == 0o600


@contextmanager
def session(_kit: object, *, line: str) -> Iterator[Any]:
    """A session in which NVFlare logs a line."""
    logging.getLogger("nvflare.fuel.hci.client").info(line)
    now = datetime.now(timezone.utc)
    yield SimpleNamespace(federation=lambda: FederationState(now, now, {"north": now}, ()), jobs=lambda: ())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECRET_KEYS, SECRETS)
def test_the_log_of_the_session_has_no_secret(
    release: Path, monkeypatch: pytest.MonkeyPatch, key: str, secret: str
) -> None:
    monkeypatch.setattr(admin, "versions", dict)
    monkeypatch.setattr(admin, "as_documents", list)
    monkeypatch.setattr(
        "deploy.session.open_session", lambda kit: session(kit, line=f"logged in\n{key}: {secret}")
    )

    made = admin.collect_admin(release)

    assert made.problems == []
    assert "INFO nvflare.fuel.hci.client: logged in" in made.files["logs/session.txt"]
    assert key in made.files["logs/session.txt"]
    assert not any("S3cr3t" in text for text in made.files.values())
    assert "north" in json.loads(made.files["status.json"])["heartbeats"]


def test_a_folder_without_a_kit_is_refused(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["bundle", "--admin-kit", str(tmp_path)])

    assert "has no startup kit of an administrator" in str(answer.exception)


def test_a_bundle_is_of_a_site_or_of_an_administrator(release: Path) -> None:
    words = ["bundle", "--release", SERVER, "--admin-kit", str(release)]

    assert "exclude each other" in str(CliRunner().invoke(app, words).exception)
