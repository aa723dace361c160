"""Who holds the lock is known, and a kill leaves none behind."""

from __future__ import annotations

import os
import signal
import time

import pytest

from deploy.errors import MachineError
from deploy.provision import files as files_module
from deploy.provision.files import locked
from tests.unit.provision.federation import SERVER, Federation
from tests.waiting import eventually


def test_a_second_run_says_for_whom_it_waits(federation: Federation) -> None:
    lock = federation.workspace.root / ".flarefleet.lock"
    told: list[str] = []

    with (
        locked(lock, told.append),
        pytest.raises(MachineError, match=f"still being provisioned by process {os.getpid()} after"),
        locked(lock, told.append, timeout=0.2),
    ):
        pass

    assert told == [f"waiting for process {os.getpid()}, which provisions {lock.parent}"]


def test_a_killed_run_leaves_no_lock_behind(federation: Federation) -> None:
    child = os.fork()
    if child == 0:
        with locked(federation.workspace.root / ".flarefleet.lock", lambda _: None):
            (federation.folder / "held").touch()
            time.sleep(60)
        os._exit(0)
    eventually((federation.folder / "held").exists, what="it holds the lock")

    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    assert not federation.provision().changed


def test_folders_are_exchanged_where_the_system_cannot_do_it_in_one_step(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "_exchange", lambda _one, _other: False)
    federation.entry(SERVER)["fed_learn_port"] = 9002

    federation.provision()

    assert "9002" in (federation.workspace.kit("site-1") / "startup" / "fed_client.json").read_text()
    assert not federation.provision().changed
