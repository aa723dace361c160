"""The supervisor with real processes: no process survives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import is_running
from tests.waiting import eventually

PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from fl_app.startup.supervisor import Supervisor

folder = Path(sys.argv[1])

def run():
    # In its own session, as NVFlare starts jobs.
    job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    (folder / "job").write_text(str(job.pid))
    (folder / "parent.new").write_text(str(os.getpid()))
    (folder / "parent.new").rename(folder / "parent")
    if (folder / "returns").exists():
        return int((folder / "returns").read_text())
    if (folder / "ignores_sigterm").exists():
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    time.sleep(60)

import fl_app.startup.supervisor as supervisor
supervisor.STOP_GRACE_SECONDS = 1.0

def delay_after(code, ran):
    delays = folder / "delays"
    if not delays.exists():
        return None
    delay, *rest = delays.read_text().split()
    delays.write_text(" ".join(rest)) if rest else delays.unlink()
    return float(delay)

sys.exit(Supervisor(run, delay_after).run())
"""


class Supervised:
    """A supervisor with a parent and a job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], start_new_session=True)

    def pid(self, name: str) -> int:
        """Return the process id of `parent` or `job`."""
        eventually((self.folder / "parent").exists)
        return int((self.folder / name).read_text())

    def processes(self) -> list[psutil.Process]:
        """Return the parent and its job."""
        return [psutil.Process(self.pid(name)) for name in ("parent", "job")]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for file in ("parent", "job"):
        if (tmp_path / file).exists() and psutil.pid_exists(pid := int((tmp_path / file).read_text())):
            process = psutil.Process(pid)
            if "python" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()


@pytest.mark.parametrize(
    ("target", "number", "ignores_sigterm", "code"),
    [
        ("supervisor", signal.SIGTERM, False, 0),
        ("supervisor", signal.SIGINT, False, 0),
        ("supervisor", signal.SIGHUP, False, 0),
        ("supervisor", signal.SIGTERM, True, 0),
        ("supervisor", signal.SIGKILL, False, -signal.SIGKILL),
        ("parent", signal.SIGKILL, False, 128 + signal.SIGKILL),
    ],
)
def test_no_process_survives_a_signal(
    folder: Path, target: str, number: signal.Signals, ignores_sigterm: bool, code: int
) -> None:
    if ignores_sigterm:
        (folder / "ignores_sigterm").touch()
    supervised = Supervised(folder)
    processes = supervised.processes()

    os.kill(supervised.pid("parent") if target == "parent" else supervised.process.pid, number)

    assert supervised.process.wait(5) == code
    if code < 0:  # the kernel signals the parent
        eventually(lambda: not any(map(is_running, processes)))
    assert not any(map(is_running, processes))


def test_the_exit_code_of_a_parent_that_exits_by_itself_is_returned(folder: Path) -> None:
    (folder / "returns").write_text("19")
    supervised = Supervised(folder)

    assert supervised.process.wait(5) == 19
    assert not psutil.pid_exists(supervised.pid("job"))


def test_a_parent_that_dies_is_started_again_without_the_processes_of_its_predecessor(folder: Path) -> None:
    (folder / "delays").write_text("0")
    supervised = Supervised(folder)
    first, job = supervised.processes()

    first.kill()

    eventually(lambda: supervised.pid("parent") != first.pid, what="the parent runs again")
    assert not is_running(job)
    supervised.process.terminate()
    assert supervised.process.wait(5) == 0


def test_a_stop_signal_ends_the_wait_before_a_restart(folder: Path) -> None:
    (folder / "delays").write_text("60")
    supervised = Supervised(folder)
    parent, _ = supervised.processes()
    parent.kill()
    eventually(lambda: not (folder / "delays").exists(), what="the supervisor waits")

    supervised.process.terminate()

    assert supervised.process.wait(5) == 0
    assert supervised.pid("parent") == parent.pid
