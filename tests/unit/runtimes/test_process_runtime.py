"""The process runtime's records, and what makes `up` restart a server or site."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy.project import load_project
from deploy.runtimes.ports import free_ports
from deploy.runtimes.process import ProcessRuntime, runtime
from deploy.runtimes.process.run_folder import ENV_RUN_FOLDER, FederationSpec, ProcessRunFolder
from deploy.runtimes.protocol import FederationStatus
from deploy.runtimes.records import ProcessRecord
from deploy.workspace import Workspace
from tests.federation.federation import SERVER, write_project

PARTICIPANTS = (SERVER, "site-1", "site-2")


def test_a_record_matches_its_process_and_no_later_process_of_that_id() -> None:
    created = psutil.Process().create_time()

    assert ProcessRecord(pid=os.getpid(), created=created).process() is not None
    assert ProcessRecord(pid=os.getpid(), created=created - 10).process() is None
    assert ProcessRecord(pid=os.getpid(), created=created, exit_code=0).process() is None


def test_a_zombie_is_not_running() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    record = ProcessRecord(pid=child.pid, created=psutil.Process(child.pid).create_time())
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert record.process() is None
    child.wait()


def test_an_invalid_specification_is_ignored(tmp_path: Path) -> None:
    folder = ProcessRunFolder(tmp_path / "run")
    folder.make()
    folder.write_spec(FederationSpec(project="clinics", server_address="localhost:8002", members=()))
    assert folder.spec() is not None

    (tmp_path / "run" / ".state" / "plan.json").write_text('{"project": ')

    assert folder.spec() is None


def test_only_processes_with_this_run_folder_in_their_environment_are_ours(tmp_path: Path) -> None:
    ours, theirs = ProcessRunFolder(tmp_path / "ours"), ProcessRunFolder(tmp_path / "theirs")
    sleeper = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
    with subprocess.Popen(sleeper, env={ENV_RUN_FOLDER: str(ours.root)}, stdout=subprocess.PIPE) as marked:
        assert marked.stdout is not None
        marked.stdout.readline()

        assert [process.pid for process in ours.processes()] == [marked.pid]
        assert theirs.processes() == []
        marked.kill()


class Recorded(ProcessRuntime):
    """A runtime that records which servers and sites it starts, without starting a process."""

    started: tuple[str, ...] = ()

    def _running(self) -> dict[str, psutil.Process]:
        spec = self.folder.spec()
        return {member.name: psutil.Process() for member in spec.members} if spec else {}

    def _stop(self, names: object) -> None:
        pass

    def _start(self, names: list[str]) -> None:
        self.started = tuple(names)


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[str, ...]]:
    """Runs `up` on a port, and returns the names of the servers and sites that it started."""
    ready = FederationStatus(project="clinics", runtime="process")
    monkeypatch.setattr(runtime, "wait_until_ready", lambda *_: ready)
    monkeypatch.setattr(runtime, "_listening_ports", lambda _: set())
    workspace = Workspace(tmp_path / "workspace")
    for name in PARTICIPANTS:
        for folder in ("startup", "local"):
            (workspace.kit(name) / folder).mkdir(parents=True)
        (workspace.kit(name) / "startup" / "certificate").write_text(name)

    def run(port: int) -> tuple[str, ...]:
        project = load_project(write_project(tmp_path, sites=2, port=port))
        made = Recorded(project, workspace)
        made.up()
        return made.started

    return run


def test_up_starts_all_and_then_nothing(up: Callable[[int], tuple[str, ...]]) -> None:
    port = free_ports(1)[0]

    assert up(port) == PARTICIPANTS
    assert up(port) == ()


def test_up_restarts_a_site_whose_kit_has_changed_and_no_other(
    up: Callable[[int], tuple[str, ...]], tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    up(port)
    kit = Workspace(tmp_path / "workspace").kit("site-1")

    (kit / "startup" / "certificate").write_text("renewed")
    assert up(port) == ("site-1",)

    (kit / "local" / "privacy.json").write_text("{}")
    assert up(port) == ("site-1",)
    assert up(port) == ()


def test_up_restarts_sites_that_dial_a_new_port(up: Callable[[int], tuple[str, ...]]) -> None:
    first, second = free_ports(2)
    up(first)

    assert up(second) == ("site-1", "site-2")  # the server's port is in its kit
