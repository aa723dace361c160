"""How often a killed job process or pod is started again."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from fl_app import child_process
from fl_app.contract import ENV_SURVIVAL
from fl_app.launchers import restarts as module
from fl_app.launchers.progress import _receive
from fl_app.launchers.restarts import Death, RestartBudget, Restarts
from fl_app.survival.interventions import Intervention, Kind
from tests.waiting import eventually

KILLED = Death("its job process was killed by signal 9 (SIGKILL)")
CRASHED = Death("its job process was killed by signal 11 (SIGSEGV)", is_deterministic=True)


def test_a_killed_process_is_restarted_five_times_without_progress_with_growing_pauses() -> None:
    budget = RestartBudget()
    assert [budget.pause(KILLED) for _ in range(7)] == [0.0, 1.0, 2.0, 4.0, 8.0, None, None]


def test_a_crashed_process_is_restarted_twice_without_progress() -> None:
    budget = RestartBudget()
    assert [budget.pause(CRASHED) for _ in range(3)] == [0.0, 1.0, None]
    assert budget.pause(KILLED) == 2.0, "a kill from outside has restarts left"


def test_a_pause_has_a_maximum() -> None:
    budget = RestartBudget(limit=50)
    assert max(pause for _ in range(50) if (pause := budget.pause(KILLED)) is not None) == 10.0


def test_progress_allows_all_restarts_again() -> None:
    budget = RestartBudget()
    for _ in range(2):
        budget.pause(CRASHED)
    budget.progressed()
    assert [budget.pause(CRASHED) for _ in range(3)] == [0.0, 1.0, None]


def test_a_round_that_was_reached_before_is_no_progress() -> None:
    budget = RestartBudget(limit=1)
    budget.progressed(4)
    assert budget.pause(KILLED) == 0.0
    for number in range(5):  # the job starts over
        budget.progressed(number)
    assert budget.pause(KILLED) is None
    budget.progressed(5)
    assert budget.pause(KILLED) == 0.0


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Intervention]:
    found: list[Intervention] = []
    monkeypatch.setattr(module, "record", lambda engine, job_id, one: found.append(one))
    return found


def test_each_restart_is_in_the_history_of_the_job(recorded: list[Intervention]) -> None:
    assert Restarts(None, "j1", "north").allow(KILLED)
    eventually(lambda: recorded, 5, "the restart is recorded")
    assert recorded[0].kind is Kind.RESTARTED
    assert recorded[0].line == "north: its job process was killed by signal 9 (SIGKILL); started again"


def test_a_slow_history_does_not_delay_the_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(module, "record", lambda *_: release.wait(30))
    begin = time.monotonic()
    assert Restarts(None, "j1", "north").allow(KILLED)
    assert time.monotonic() - begin < 5
    release.set()


def test_the_death_that_stays_has_the_number_of_lives(recorded: list[Intervention]) -> None:
    restarts = Restarts(None, "j1", "north", budget=RestartBudget(limit=1))
    assert restarts.final(KILLED) == KILLED, "without a restart there is nothing to count"
    assert restarts.allow(KILLED)
    assert not restarts.allow(KILLED)
    assert restarts.final(KILLED).text == f"{KILLED.text}, 2 times without progress"


def test_an_aborted_job_is_not_restarted(recorded: list[Intervention]) -> None:
    assert not Restarts(None, "j1", "north", is_aborted=lambda: True).allow(KILLED)
    assert not recorded


def test_an_abort_ends_the_pause_before_a_restart(
    monkeypatch: pytest.MonkeyPatch, recorded: list[Intervention]
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 60.0)
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 60.0)
    restarts = Restarts(None, "j1", "north")
    assert restarts.allow(KILLED)
    threading.Timer(0.2, restarts.stopped.set).start()
    begin = time.monotonic()
    assert not restarts.allow(KILLED)
    assert time.monotonic() - begin < 30


def test_processes_that_an_ending_parent_kills_are_not_restarted(
    monkeypatch: pytest.MonkeyPatch, recorded: list[Intervention]
) -> None:
    monkeypatch.setattr(child_process, "_ending", threading.Event())
    child_process.announce_end()
    assert not Restarts(None, "j1", "north").allow(KILLED)


def test_nothing_is_restarted_if_survival_is_disabled(
    monkeypatch: pytest.MonkeyPatch, recorded: list[Intervention]
) -> None:
    monkeypatch.setenv(ENV_SURVIVAL, "false")
    assert not Restarts(None, "j1", "north").allow(KILLED)


def test_a_message_of_the_job_process_to_its_parent_is_progress(recorded: list[Intervention]) -> None:
    registered: list[Any] = []
    cell = SimpleNamespace(register_request_cb=lambda **callback: registered.append(callback["cb"]))
    restarts = Restarts(
        SimpleNamespace(cell=cell), "j1", "north", budget=RestartBudget(limit=1, deterministic_limit=1)
    )
    assert restarts.allow(KILLED)
    _send("north.j2", {"position": None})
    _send("north.j1", "no document")
    assert registered == [_receive]
    assert restarts.allow(KILLED)
    assert not restarts.allow(KILLED)


def test_the_end_of_an_earlier_launch_does_not_affect_the_present_one(recorded: list[Intervention]) -> None:
    engine = SimpleNamespace(cell=SimpleNamespace(register_request_cb=lambda **callback: None))
    earlier, present = (Restarts(engine, "j1", "north", budget=RestartBudget(limit=1)) for _ in range(2))
    earlier.close()
    assert present.allow(KILLED)
    _send("north.j1", {"position": None})
    assert present.allow(KILLED)
    present.close()
    _send("north.j1", {"position": None})
    assert not present.allow(KILLED)


def _send(origin: str, payload: Any) -> None:
    _receive(SimpleNamespace(get_header=lambda name: origin, payload=payload))  # type: ignore[arg-type]
