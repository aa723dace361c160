"""The choice of the Docker engine: DOCKER_HOST, or the current Docker context."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from docker import from_env

from deploy.docker_engine import connect, docker_environment
from deploy.errors import MachineError
from deploy.images.buildkit import find_builder
from tests.unit.images.test_building import build_of, install_docker

CONTEXT, ADDRESS = "hospital", "unix:///run/hospital/docker.sock"


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder DOCKER_CONFIG with a current context, and no other setting of an engine."""
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(CONTEXT.encode()).hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoint = {"Host": ADDRESS, "SkipTLSVerify": False}
    meta.write_text(json.dumps({"Name": CONTEXT, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": CONTEXT}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def engine_of_the_program() -> str:
    """Return the address that the docker program uses in the environment of `docker_environment`."""
    program = shutil.which("docker")
    if program is None:
        pytest.skip("the docker program is not installed")
    command = [program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    done = subprocess.run(command, env=docker_environment(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_docker_program_and_the_sdk_use_the_current_context(docker_config: Path) -> None:
    environment = docker_environment()
    assert environment["DOCKER_CONTEXT"] == CONTEXT
    assert "DOCKER_HOST" not in environment
    assert engine_of_the_program() == ADDRESS
    with pytest.raises(MachineError, match="no such file or directory"):
        connect()


def test_images_are_built_with_the_engine_of_the_current_context(
    docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_docker(tmp_path, monkeypatch, "28.2.2", 'echo "$DOCKER_HOST,$DOCKER_CONTEXT" > engine', buildx=0)
    monkeypatch.chdir(tmp_path)
    find_builder().run(build_of(tmp_path))
    assert (tmp_path / "engine").read_text() == f",{CONTEXT}\n"


def test_docker_host_overrides_the_context(docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    environment = docker_environment()
    assert environment["DOCKER_HOST"] == "tcp://192.0.2.7:2375"
    assert "DOCKER_CONTEXT" not in environment
    assert from_env(version="1.41").api.base_url == "http://192.0.2.7:2375"


@pytest.mark.parametrize("config", [{}, {"currentContext": ""}, {"currentContext": "default"}])
def test_the_default_context_is_used_without_another(docker_config: Path, config: dict[str, str]) -> None:
    (docker_config / "config.json").write_text(json.dumps(config))
    assert docker_environment()["DOCKER_CONTEXT"] == "default"


def test_no_other_engine_is_used_instead_of_a_context_that_does_not_exist(
    docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    for use in (connect, docker_environment):
        with pytest.raises(MachineError, match=r"context gone cannot be used \(it does not exist\)"):
            use()


def test_an_invalid_context_is_reported(docker_config: Path) -> None:
    next(docker_config.rglob("meta.json")).write_text("{")
    with pytest.raises(MachineError, match=f"context {CONTEXT} cannot be used"):
        connect()
