"""The support bundle of a federation and of one site, from folders with secrets everywhere."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.bundle.archive import Bundle
from deploy.bundle.known_secrets import KnownSecrets
from deploy.bundle.redaction import Redaction
from deploy.cli.app import app
from deploy.errors import Failed
from deploy.runtimes.choice import remember
from tests.bundles import files_in, key_lines
from tests.unit.provision.federation import ADMIN, SERVER, Federation

PLANTED = {
    "a tracker's token": "tok-4711-zebra",
    "a tracker's password": "hunter2 correct",
    "a password in a URL": "urlPassw0rd",
    "a password in the environment": "env-secret-0815",
    "a passphrase in a log": "the quick brown fox",
    "a token in own.yaml": "own-yaml-token-99",
    "a comment in project.yml": "comment-secret-12",
}


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PLANTED["a password in the environment"])


@pytest.fixture
def seeded(federation: Federation) -> Federation:
    """A federation that was started once, with secrets in its settings and in its logs."""
    token, password = PLANTED["a tracker's token"], PLANTED["a tracker's password"]
    credentials = federation.folder / "trackers.env"
    credentials.write_text(f"MLFLOW_TRACKING_TOKEN={token}\nWANDB_API_KEY='{password}'\n")
    credentials.chmod(0o600)
    url = "https://tracker.example.org"
    federation.document["deployment"] = {
        "tracking": {
            "receivers": ["mlflow"],
            "environment": {"MLFLOW_TRACKING_URI": url},
            "credentials": "trackers.env",
        }
    }
    federation.provision()
    run = federation.workspace.run("process")
    for name in ("site-1", "site-2", SERVER):
        key = next((federation.workspace.kit(name) / "startup").glob("*.key")).read_text()
        (run / name).mkdir(parents=True)
        lines = key.splitlines()
        (run / name / "parent.log").write_text(
            "\n".join(
                [
                    *lines[5:],  # the end of a log begins within a key
                    f"{name}: started",
                    key,
                    json.dumps({"key": key, "token": token}),
                    f"connecting to https://user:{PLANTED['a password in a URL']}@tracker.example.org",
                    f"passphrase: {PLANTED['a passphrase in a log']}",
                    f"used {token}, then {password} and {PLANTED['a password in the environment']}",
                    f"line {lines[3]}",
                    "ready",
                ]
            )
        )
    remember(federation.workspace, "process")
    return federation


def secrets_of(federation: Federation) -> dict[str, str]:
    """Return every secret: the planted ones, and each line of each key."""
    lines = key_lines(federation.workspace.root)
    state = json.loads((federation.workspace.state / "cert.json").read_text())
    lines |= {f"authority:{line}": line for line in state["root_pri_key"].splitlines()[1:-1]}
    assert len(lines) > 100
    return PLANTED | lines


def test_a_bundle_of_a_federation_has_its_logs_and_none_of_its_secrets(seeded: Federation) -> None:
    archive = seeded.folder / "bundle.tar.gz"
    project = seeded.project.path
    comment = PLANTED["a comment in project.yml"]
    project.write_text(f"# the password is {comment}\n{project.read_text()}")
    words = [
        "--project",
        str(project),
        "--workspace",
        str(seeded.folder / "workspace"),
        "bundle",
        "-o",
        str(archive),
    ]

    answer = CliRunner().invoke(app, [*words, "-o", str(archive)])

    assert answer.exit_code == 0, answer.output
    files = files_in(archive)
    assert {"README.txt", "versions.json", "project.yml", "doctor.json", "status.json"} <= files.keys()
    for name in ("site-1", "site-2", SERVER):
        assert f"{name}: started" in files[f"logs/{name}.txt"]
        assert files[f"logs/{name}.txt"].endswith("ready")
        assert f"logs/{name}.txt" in answer.stdout
    assert "hospitals" in files["project.yml"]
    assert "jobs: " in files["problems.txt"]  # the server is not running
    everything = archive.read_bytes().decode("latin-1") + "\n".join(files.values())
    assert [what for what, secret in secrets_of(seeded).items() if secret in everything] == []
    assert archive.stat().st_mode & 0o777 == 0o600


def test_a_bundle_is_made_when_project_yml_is_invalid(seeded: Federation) -> None:
    project = seeded.project.path
    project.write_text(project.read_text().replace("fed_learn_port", "fed_learn_prot"))
    archive = seeded.folder / "bundle.tar.gz"
    words = [
        "--project",
        str(project),
        "--workspace",
        str(seeded.folder / "workspace"),
        "bundle",
        "-o",
        str(archive),
    ]

    answer = CliRunner().invoke(app, [*words, "-o", str(archive), "--json"])

    assert answer.exit_code == 0, answer.output
    assert any("fed_learn_prot" in problem for problem in json.loads(answer.stdout)["problems"])
    files = files_in(archive)
    assert "did you mean fed_learn_port?" in files["doctor.json"]
    assert "fed_learn_prot" in files["project.yml"]


def test_a_site_makes_a_bundle_from_its_release_folder_alone(
    seeded: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "from-the-operator"
    shutil.copytree(seeded.workspace.release / "site-1", folder)
    secrets = secrets_of(seeded)
    shutil.rmtree(seeded.folder / "workspace")
    (folder / "own.yaml").write_text(f"environment: {{WANDB_API_KEY: {PLANTED['a token in own.yaml']}}}\n")
    monkeypatch.chdir(folder)
    (folder / "project.yml").unlink(missing_ok=True)
    archive = tmp_path / "site.tar.gz"

    answer = CliRunner().invoke(app, ["bundle", "--output", str(archive)])

    assert answer.exit_code == 0, answer.output
    files = files_in(archive)
    assert {"values.yaml", "own.yaml", "compose.yaml", "doctor.json", "files.txt"} <= files.keys()
    assert "600" in next(line for line in files["files.txt"].splitlines() if "client.key" in line)
    assert "WANDB_API_KEY: '[redacted]'" in files["own.yaml"]
    everything = "\n".join(files.values())
    assert [what for what, secret in secrets.items() if secret in everything] == []


def test_a_site_makes_a_bundle_although_only_the_container_may_read_its_key(
    seeded: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = seeded.workspace.release / "site-1"
    key = folder / "key" / "client.key"
    with unreadable(key, monkeypatch):
        answer = CliRunner().invoke(
            app, ["bundle", "--release", str(folder), "-o", str(tmp_path / "site.tar.gz")]
        )

    assert answer.exit_code == 0, (answer.output, answer.exception)
    problems = files_in(tmp_path / "site.tar.gz")["problems.txt"]
    assert f"{key}: Permission denied; its secrets are redacted only by their form" in problems


def test_the_passwords_in_the_env_file_of_compose_are_known_and_its_other_settings_are_none(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("FLARE_IMAGE=registry/flare:1\nDB_PASSWORD=hunter2hunter\n")
    known = KnownSecrets()

    known.add_folder(tmp_path)

    assert known.values == {"hunter2hunter"}


def test_a_setting_in_an_env_file_beside_project_yml_stays_in_the_bundle(seeded: Federation) -> None:
    (seeded.folder / "compose.env").write_text("COMPOSE_PROJECT_NAME=hospitals\n")
    archive = seeded.folder / "bundle.tar.gz"
    options = ["--project", str(seeded.project.path), "--workspace", str(seeded.folder / "workspace")]

    answer = CliRunner().invoke(app, [*options, "bundle", "-o", str(archive)])

    assert answer.exit_code == 0, (answer.output, answer.exception)
    assert "name: hospitals" in files_in(archive)["project.yml"]


def test_a_file_that_vanishes_while_secrets_are_collected_is_no_problem(
    seeded: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownSecrets()
    read = Path.read_text

    def vanish(file: Path, *args: Any, **options: Any) -> str:
        file.unlink()
        return read(file, *args, **options)

    monkeypatch.setattr(Path, "read_text", vanish)
    known.add_folder(seeded.workspace.root)

    assert known.problems == []


@contextmanager
def unreadable(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Deny reading a file, also to root, whom its mode does not stop."""

    def deny(path: Path, *args: Any, **options: Any) -> Any:
        if path == file:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *args, **options)

    opened = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", deny)
        yield


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["bundle", "--release", str(tmp_path)])

    assert "is not a release folder" in str(answer.exception)


def test_nothing_is_written_if_a_secret_passes_the_redaction(tmp_path: Path) -> None:
    bundle = Bundle("test", Redaction(["s3cr3t-value"]))
    bundle.files["log.txt"] = "a line with s3cr3t-value"  # not through the redaction

    with pytest.raises(Failed, match="still has a secret"):
        bundle.write(tmp_path / "bundle.tar.gz", "now")

    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_replaced(tmp_path: Path, seeded: Federation) -> None:
    archive = tmp_path / "bundle.tar.gz"
    archive.write_text("the previous one")
    release = seeded.workspace.release / "site-1"

    answer = CliRunner().invoke(app, ["bundle", "--release", str(release), "-o", str(archive)])

    assert "exists" in str(answer.exception)
    assert archive.read_text() == "the previous one"


def test_an_error_for_the_user_is_listed_without_the_name_of_its_class() -> None:
    bundle = Bundle("test", Redaction())

    def fail() -> None:
        raise Failed("There is no valid kubeconfig")

    bundle.collect("Kubernetes", fail)

    assert bundle.problems == ["Kubernetes: There is no valid kubeconfig"]


def test_an_error_of_a_collector_is_listed_without_its_secrets(tmp_path: Path) -> None:
    bundle = Bundle("test", Redaction())

    def fail() -> None:
        raise OSError("cannot open https://user:pass@host")

    bundle.collect("log", fail)
    bundle.write(tmp_path / "bundle.tar.gz", "now")

    assert (
        files_in(tmp_path / "bundle.tar.gz")["problems.txt"]
        == "log: OSError: cannot open https://[redacted]@host\n"
    )
    assert ADMIN not in bundle.problems
