"""The lock of a workspace, and the replacement of folders."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy import workspace_files
from deploy.errors import MachineError
from deploy.workspace_files import locked
from tests.unit.provision.federation import SERVER, Federation
from tests.waiting import eventually


def test_a_second_run_reports_the_process_that_it_waits_for(federation: Federation) -> None:
    messages: list[str] = []

    def second_run() -> None:
        with locked(federation.workspace, messages.append, timeout=0.2):
            pass

    with (
        ThreadPoolExecutor() as threads,
        locked(federation.workspace),
        pytest.raises(MachineError, match=f"still being provisioned by process {os.getpid()} after"),
    ):
        threads.submit(second_run).result()

    root = federation.workspace.root
    assert messages == [f"waiting for process {os.getpid()}, which provisions {root}"]


def test_a_thread_can_acquire_the_lock_again(federation: Federation) -> None:
    with locked(federation.workspace), locked(federation.workspace, timeout=0):
        assert not federation.provision().changed


def test_the_lock_of_a_killed_run_is_released(federation: Federation) -> None:
    child = os.fork()
    if child == 0:
        with locked(federation.workspace):
            (federation.folder / "held").touch()
            time.sleep(60)
        os._exit(0)
    eventually((federation.folder / "held").exists, what="the child holds the lock")

    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    assert not federation.provision().changed


def test_folders_are_replaced_on_systems_without_an_atomic_exchange(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_files, "_exchange", lambda _one, _other: False)
    federation.entry(SERVER)["fed_learn_port"] = 9002

    federation.provision()

    assert "9002" in (federation.workspace.kit("site-1") / "startup" / "fed_client.json").read_text()
    assert not federation.provision().changed
