"""Trainings that will never send a result, and those that only look like it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from fl_app.guard.unanswered import MAX_PASSES, HungExit, ScriptLoop
from fl_app.nvflare_internals.training_script import TrainingProcess

SILENT = 8.0


def started(code: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def sleeping() -> Iterator[int]:
    yield from started("import time; print(1, flush=True); time.sleep(600)")


@pytest.fixture
def computing() -> Iterator[int]:
    yield from started("print(1, flush=True)\nwhile True: pass")


def is_hung(group: int, silent_for: float, interval: float = 5.0) -> bool:
    now = [100.0]
    hung_exit = HungExit(clock=lambda: now[0])
    found = False
    for _ in range(6):
        found = found or hung_exit.hung(TrainingProcess(group, silent_for, interval)) is not None
        now[0] += 1.0
        time.sleep(0.1)
    return found


def test_a_silent_process_whose_threads_all_sleep_is_hung(sleeping: int) -> None:
    assert is_hung(sleeping, SILENT)


def test_a_process_with_heartbeats_is_not_hung(sleeping: int) -> None:
    assert not is_hung(sleeping, 3.0)


def test_a_silent_process_that_computes_is_not_hung(computing: int) -> None:
    assert not is_hung(computing, SILENT)


def test_a_process_that_has_exited_is_left_to_nvflare() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert HungExit().hung(TrainingProcess(process.pid, SILENT, 5.0)) is None


def test_a_long_heartbeat_interval_is_respected(sleeping: int) -> None:
    assert not is_hung(sleeping, SILENT, interval=20.0)


MODEL, NEXT_MODEL = object(), object()


def calls(*names: str, loop: ScriptLoop | None = None, model: object = MODEL) -> ScriptLoop:
    loop = loop or ScriptLoop()
    for name in names:
        loop.called(name, model)
    return loop


def test_a_loop_that_never_sends_is_found() -> None:
    assert calls(*["is_running", "receive"] * MAX_PASSES).is_endless()
    assert calls(*["is_running", "receive"] * MAX_PASSES).error().ends_site


@pytest.mark.parametrize(
    "names",
    [
        ["is_running", *["receive"] * 50],
        ["receive", *["is_running"] * 50],
        ["is_running", "receive"] * (MAX_PASSES - 1),
    ],
    ids=["receives often", "asks often whether the job runs", "a few times"],
)
def test_a_script_that_asks_often_during_its_training_is_not_endless(names: list[str]) -> None:
    assert not calls(*names).is_endless()


def test_a_new_task_starts_at_zero() -> None:
    loop = calls(*["is_running", "receive"] * (MAX_PASSES - 1))
    loop.task_started()
    assert not calls("is_running", "receive", loop=loop, model=NEXT_MODEL).is_endless()


def test_a_script_that_polls_until_the_model_changes_is_not_endless() -> None:
    loop = calls("is_running", "receive")
    loop.task_started()
    calls(*["is_running", "receive"] * 20, loop=loop)
    assert not loop.is_endless()
    assert not calls("is_running", "receive", loop=loop, model=NEXT_MODEL).is_endless()
    assert calls(*["is_running", "receive"] * MAX_PASSES, loop=loop, model=NEXT_MODEL).is_endless()
