"""The supervisor, run on real processes: whoever dies, nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually

PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from fl_app.startup.supervisor import Supervisor

folder = Path(sys.argv[1])

def run():
    # As NVFlare starts its jobs: in a session of their own.
    job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    (folder / "job").write_text(str(job.pid))
    (folder / "parent.new").write_text(str(os.getpid()))
    (folder / "parent.new").rename(folder / "parent")
    if (folder / "returns").exists():
        return int((folder / "returns").read_text())
    if (folder / "deaf").exists():
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    time.sleep(60)

def starts_again(code):
    again = (folder / "again").exists()
    (folder / "again").unlink(missing_ok=True)
    return again

import fl_app.startup.supervisor as supervisor
supervisor.STOP_GRACE_SECONDS = 1.0
sys.exit(Supervisor(run, starts_again).run())
"""


class Supervised:
    """A supervisor, its parent, and a job of that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], start_new_session=True)

    def pid(self, name: str) -> int:
        """The process id of `parent` or `job`."""
        eventually((self.folder / "parent").exists)
        return int((self.folder / name).read_text())

    def started(self) -> list[psutil.Process]:
        """The parent and its job."""
        return [psutil.Process(self.pid(name)) for name in ("parent", "job")]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for file in ("parent", "job"):
        if (tmp_path / file).exists() and psutil.pid_exists(pid := int((tmp_path / file).read_text())):
            process = psutil.Process(pid)
            if "python" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()


@pytest.mark.parametrize("request_to_stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_request_to_stop_ends_parent_and_jobs_with_code_0(
    folder: Path, request_to_stop: signal.Signals
) -> None:
    supervised = Supervised(folder)
    started = supervised.started()

    supervised.process.send_signal(request_to_stop)

    assert supervised.process.wait(5) == 0
    assert not any(map(runs, started))


def test_a_parent_that_does_not_listen_is_killed_after_a_while(folder: Path) -> None:
    (folder / "deaf").touch()
    supervised = Supervised(folder)
    started = supervised.started()

    supervised.process.send_signal(signal.SIGTERM)

    assert supervised.process.wait(5) == 0
    assert not any(map(runs, started))


def test_jobs_end_with_a_killed_parent(folder: Path) -> None:
    supervised = Supervised(folder)
    started = supervised.started()

    os.kill(supervised.pid("parent"), signal.SIGKILL)

    assert supervised.process.wait(5) == 137
    assert not any(map(runs, started))


def test_parent_and_jobs_end_with_a_killed_supervisor(folder: Path) -> None:
    supervised = Supervised(folder)
    started = supervised.started()

    supervised.process.kill()
    supervised.process.wait()

    eventually(lambda: not any(map(runs, started)))


def test_jobs_end_with_a_parent_that_ends_by_itself_and_its_code_is_kept(folder: Path) -> None:
    (folder / "returns").write_text("19")
    supervised = Supervised(folder)

    assert supervised.process.wait(5) == 19
    assert not psutil.pid_exists(supervised.pid("job"))


def test_a_parent_is_started_again_if_that_was_asked_for(folder: Path) -> None:
    supervised = Supervised(folder)
    first = supervised.pid("parent")
    (folder / "again").touch()

    os.kill(first, signal.SIGKILL)

    eventually(lambda: supervised.pid("parent") != first)
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(5) == 0


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
