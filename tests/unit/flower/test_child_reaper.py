"""A command on a tether leaves nothing behind, however it ends and wherever its children went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually

TREE = """
import pathlib, signal, subprocess, sys, time
child = subprocess.Popen(
    ["sleep", "60"],
    start_new_session=True,
    preexec_fn=(lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)) if {stubborn} else None,
)
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep({seconds})
sys.exit({code})
"""


@pytest.fixture
def tethered(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], psutil.Process]]]:
    """Starts a command whose child is in a session of its own; gives the tether and that child."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        parent: int, seconds: float = 60, code: int = 0, stubborn: bool = False
    ) -> tuple[subprocess.Popen[bytes], psutil.Process]:
        said = tmp_path / "child"
        script = TREE.format(seconds=seconds, code=code, stubborn=stubborn)
        command = [sys.executable, "-c", script, str(said)]
        process = subprocess.Popen([sys.executable, "-m", "fl_app.flower.tether", str(parent), *command])
        started.append(process)
        eventually(lambda: said.is_file() and said.read_text() != "")
        return process, psutil.Process(int(said.read_text()))

    yield start
    for process in started:
        process.terminate()
        process.wait(15)


def test_children_of_a_command_that_ends_end_with_it_and_its_exit_code_is_kept(tethered: Callable) -> None:
    tether, child = tethered(os.getpid(), seconds=0.5, code=3)
    assert tether.wait(15) == 3
    assert _is_gone(child)


def test_told_to_end_it_ends_everything(tethered: Callable) -> None:
    tether, child = tethered(os.getpid())
    tether.send_signal(signal.SIGTERM)
    tether.wait(15)
    assert _is_gone(child)


def test_a_child_that_ignores_the_request_is_killed(tethered: Callable) -> None:
    tether, child = tethered(os.getpid(), stubborn=True)
    tether.send_signal(signal.SIGTERM)
    tether.wait(15)
    assert _is_gone(child)


def test_everything_ends_with_the_process_it_was_started_for(tethered: Callable) -> None:
    parent = subprocess.Popen(["sleep", "60"])
    tether, child = tethered(parent.pid)
    parent.kill()
    parent.wait()
    tether.wait(15)
    assert _is_gone(child)


def _is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
