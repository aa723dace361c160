"""The child reaper ends every descendant of its command, in any session and however the command exits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import is_running
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
def reaped(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], psutil.Process]]]:
    """Start a command whose child has a session of its own; return the reaper and the child."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        parent: int, seconds: float = 60, code: int = 0, stubborn: bool = False
    ) -> tuple[subprocess.Popen[bytes], psutil.Process]:
        pid_file = tmp_path / "child"
        script = TREE.format(seconds=seconds, code=code, stubborn=stubborn)
        reaper = [sys.executable, "-m", "fl_app.flower.child_reaper", str(parent)]
        started.append(subprocess.Popen([*reaper, sys.executable, "-c", script, str(pid_file)]))
        eventually(lambda: pid_file.is_file() and pid_file.read_text() != "")
        return started[-1], psutil.Process(int(pid_file.read_text()))

    yield start
    for process in started:
        process.terminate()
        process.wait(15)


def test_descendants_end_with_the_command_and_its_exit_code_is_returned(reaped: Callable) -> None:
    reaper, child = reaped(os.getpid(), seconds=0.5, code=3)
    assert reaper.wait(15) == 3
    assert not is_running(child)


@pytest.mark.parametrize("stubborn", [False, True], ids=["ends by SIGTERM", "ignores SIGTERM"])
@pytest.mark.parametrize("target", ["reaper", "parent"])
def test_all_descendants_end_after_a_signal_to_the_reaper_or_its_parent(
    reaped: Callable, target: str, stubborn: bool
) -> None:
    with subprocess.Popen(["sleep", "60"]) as parent:
        reaper, child = reaped(parent.pid, stubborn=stubborn)
        (reaper if target == "reaper" else parent).terminate()
        reaper.wait(15)
        parent.kill()
    assert not is_running(child)
