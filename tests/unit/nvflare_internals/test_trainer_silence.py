"""Silence of a training process, without the time in which the site's job process was stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fl_app.nvflare_internals.trainer_silence import STOP_SECONDS, Stops


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(stops: Stops, clock: Clock, seconds: float) -> None:
    """Let the process run."""
    for _ in range(int(seconds)):
        clock.now += 1
        stops.tick()


def test_silence_of_a_process_that_runs_counts_in_full(clock: Clock) -> None:
    stops = Stops(clock)
    run(stops, clock, 60)

    assert stops.without(40) == 40


@pytest.mark.parametrize("is_noticed", [False, True])
def test_silence_while_the_process_was_stopped_does_not_count(clock: Clock, is_noticed: bool) -> None:
    """Also for the thread that runs first."""
    stops = Stops(clock)
    run(stops, clock, 5)
    clock.now += 60
    if is_noticed:
        run(stops, clock, 2)

    assert stops.without(63 if is_noticed else 61) <= 3


def test_only_the_part_of_a_stop_in_the_silence_is_left_out(clock: Clock) -> None:
    stops = Stops(clock)
    clock.now += 60  # in the middle of it, the training process gave a sign
    run(stops, clock, 20)

    assert stops.without(50) == pytest.approx(20, abs=1)


def test_a_delay_on_a_busy_machine_is_no_stop(clock: Clock) -> None:
    stops = Stops(clock)
    clock.now += STOP_SECONDS

    assert stops.without(STOP_SECONDS) == STOP_SECONDS


PROGRAM = """
import sys
from fl_app.nvflare_internals.trainer_silence import ignore_stops
from nvflare.app_common.executors.client_api.external_process_backend import _TrainerSession
ignore_stops()
session = _TrainerSession("token", "trainer")
session.touch_peer_activity()
print("ready", flush=True)
sys.stdin.readline()
print(session.peer_silent_for(), flush=True)
"""


def test_a_session_of_nvflare_ignores_that_its_process_was_stopped() -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS + 0.5)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert float(process.stdout.readline()) < STOP_SECONDS
