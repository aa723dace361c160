"""The keeper of a simulation: it says how the simulator ended, and nothing that came from it outlives it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually

ORPHAN = """
import subprocess, sys, time
from pathlib import Path
grandchild = (
    "import os, time; from pathlib import Path; os.setsid(); "
    "Path({pid!r}).write_text(str(os.getpid())); time.sleep(300)"
)
child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
subprocess.run([sys.executable, "-c", child, grandchild])
while not Path({pid!r}).exists() or not Path({pid!r}).read_text():
    time.sleep(0.01)
{then}
"""
"""A program whose grandchild is an orphan in a session of its own, as the simulator's sites are."""


@pytest.fixture
def keeper() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(seconds: float, *command: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "deploy.simulation.simulator_process", str(seconds), *command]
        started.append(
            subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it wrote until its end, with the caller there all the time: stdin stays open."""
    process.wait(timeout=30)
    assert process.stdout is not None and process.stderr is not None
    return process.stdout.read(), process.stderr.read()


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


def orphan(pid_file: Path, then: str) -> tuple[str, ...]:
    return python(ORPHAN.format(pid=str(pid_file), then=then))


def is_gone(pid_file: Path) -> bool:
    try:
        return psutil.Process(int(pid_file.read_text())).status() == psutil.STATUS_ZOMBIE  # nobody asked yet
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("code", [0, 2])
def test_the_exit_code_is_told_and_what_was_printed_is_passed_on(
    keeper: Callable[..., subprocess.Popen[str]], code: int
) -> None:
    out, err = end_of(keeper(30, *python(f"print('round 1'); raise SystemExit({code})")))
    assert out == f"ended {code}\n"
    assert err == "round 1\n"


def test_an_orphan_in_a_session_of_its_own_does_not_outlive_its_simulation(
    keeper: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    out, _ = end_of(keeper(30, *orphan(tmp_path / "pid", "")))
    assert out == "ended 0\n"
    assert is_gone(tmp_path / "pid")


def test_a_simulation_that_does_not_end_in_time_is_ended_with_all_that_came_from_it(
    keeper: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    out, _ = end_of(keeper(2, *orphan(tmp_path / "pid", "time.sleep(300)")))
    assert out == "late\n"
    assert is_gone(tmp_path / "pid")


def test_who_does_not_listen_to_a_polite_word_is_killed(
    keeper: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    out, _ = end_of(keeper(1, *orphan(tmp_path / "pid", deaf)))
    assert out == "late\n"


def test_when_the_caller_is_gone_the_simulation_goes_too(
    keeper: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = keeper(300, *orphan(tmp_path / "pid", "time.sleep(300)"))
    pid = tmp_path / "pid"
    eventually(lambda: pid.exists() and pid.read_text(), what="the simulation runs")
    assert process.stdin is not None
    process.stdin.close()
    assert end_of(process)[0] == "alone\n"
    assert is_gone(tmp_path / "pid")
