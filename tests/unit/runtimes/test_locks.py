"""One command at a time starts or stops a federation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.errors import Failed
from deploy.project import load_project
from deploy.runtimes.choice import open_runtime
from deploy.runtimes.docker.runtime import DockerRuntime
from deploy.runtimes.records import locked
from deploy.workspace import Workspace
from tests.federation.federation import write_project


@pytest.mark.parametrize("verb", ["up", "down", "forget"])
def test_a_second_command_of_the_docker_runtime_is_rejected(tmp_path: Path, verb: str) -> None:
    runtime = open_runtime(
        "docker", load_project(write_project(tmp_path, sites=1)), Workspace(tmp_path / "w")
    )
    assert isinstance(runtime, DockerRuntime)

    with locked(runtime.folder / ".lock"), pytest.raises(Failed, match="wait for it"):
        getattr(runtime, verb)()


def test_the_lock_is_released_at_the_end_and_not_held_by_child_processes(tmp_path: Path) -> None:
    file = tmp_path / "run" / ".lock"
    with locked(file):
        daemon = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with locked(file), pytest.raises(Failed), locked(file):
        pass
    with locked(file):
        daemon.communicate(b"\n")
