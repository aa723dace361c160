"""The supervisor of a simulation reports its result and leaves no process behind."""

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
"""A program whose grandchild is an orphan in its own session, as the simulator's sites are."""


@pytest.fixture
def supervisor() -> Iterator[Callable[..., subprocess.Popen[str]]]:
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
    """Return stdout and stderr; stdin stays open meanwhile."""
    process.wait(timeout=30)
    assert process.stdout is not None and process.stderr is not None
    return process.stdout.read(), process.stderr.read()


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


def orphan(pid_file: Path, then: str) -> tuple[str, ...]:
    return python(ORPHAN.format(pid=str(pid_file), then=then))


def is_gone(pid_file: Path) -> bool:
    try:
        return psutil.Process(int(pid_file.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("code", [0, 2])
def test_the_exit_status_is_reported_and_the_output_is_forwarded(
    supervisor: Callable[..., subprocess.Popen[str]], code: int
) -> None:
    out, err = end_of(supervisor(30, *python(f"print('round 1'); raise SystemExit({code})")))
    assert out == f"exited {code}\n"
    assert err == "round 1\n"


IGNORING = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


@pytest.mark.parametrize(
    ("seconds", "then", "result"),
    [(30, "", "exited 0"), (2, "time.sleep(300)", "timeout"), (1, IGNORING, "timeout")],
    ids=["ends", "too long", "ignores SIGTERM"],
)
def test_no_descendant_outlives_its_simulation(
    supervisor: Callable[..., subprocess.Popen[str]], tmp_path: Path, seconds: float, then: str, result: str
) -> None:
    out, _ = end_of(supervisor(seconds, *orphan(tmp_path / "pid", then)))
    assert out == f"{result}\n"
    pid = tmp_path / "pid"
    assert not pid.exists() or is_gone(pid)  # the timeout may precede the start of the orphan


def test_a_simulation_is_terminated_if_its_caller_exits(
    supervisor: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = supervisor(300, *orphan(tmp_path / "pid", "time.sleep(300)"))
    pid = tmp_path / "pid"
    eventually(lambda: pid.exists() and pid.read_text(), what="the simulation is running")
    assert process.stdin is not None
    process.stdin.close()
    assert end_of(process)[0] == "caller exited\n"
    assert is_gone(tmp_path / "pid")
