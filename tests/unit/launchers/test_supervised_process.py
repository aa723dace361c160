"""Job processes that are killed, with real processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.utils.process_utils import ProcessAdapter, spawn_process

from fl_app.contract import ENV_JOB_PROCESS
from fl_app.launchers import restarts as restarts_module
from fl_app.launchers.forking import JobTemplate
from fl_app.launchers.process_end import END_FILE
from fl_app.launchers.restarts import Death, RestartBudget, Restarts
from fl_app.launchers.supervised_process import JobProcess, SupervisedProcess, kill_marked
from tests.waiting import eventually

PROGRAM = "tests.unit.launchers.described_process"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts_module, "FIRST_PAUSE_SECONDS", 0.01)


@dataclass
class Supervised:
    """A job process that is waited for in the background, as NVFlare does."""

    handle: SupervisedProcess
    started: list[ProcessAdapter]
    ends: list[tuple[int | None, Death | None]]
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.handle.wait, daemon=True)
        self.thread.start()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill the running process, and wait until it is started again or the handle has ended."""
        lives = len(self.started)
        os.kill(self.started[-1].pid, number)
        eventually(
            lambda: len(self.started) > lives or not self.thread.is_alive(), 30, "the kill has been handled"
        )

    def end(self) -> None:
        self.thread.join(30)
        assert not self.thread.is_alive()


Supervise = Callable[..., Supervised]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Return a function that starts a job process by a function; it is killed after the test."""
    made: list[Supervised] = []

    def start(begin: Callable[[], ProcessAdapter], is_server: bool = False, **settings: Any) -> Supervised:
        started: list[ProcessAdapter] = []
        ends: list[tuple[int | None, Death | None]] = []

        def recorded() -> ProcessAdapter:
            started.append(begin())
            return started[-1]

        restarts = Restarts(None, "j1", "north", budget=RestartBudget(**settings))
        process = JobProcess(recorded, tmp_path, "mark", "north", is_server)
        made.append(
            Supervised(SupervisedProcess(process, restarts, lambda *end: ends.append(end)), started, ends)
        )
        return made[-1]

    yield start
    for one in made:
        one.handle.terminate()
        one.end()


def python(code: str, **environment: str) -> Callable[[], ProcessAdapter]:
    return partial(spawn_process, [sys.executable, "-c", code], {**os.environ, **environment})


_WITH_CHILD = """\
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
time.sleep(600)
"""
SLEEP = python("import time; time.sleep(600)")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT])
def test_a_killed_process_is_started_again_and_nvflare_does_not_see_it(
    supervise: Supervise, number: int
) -> None:
    job = supervise(SLEEP)
    job.kill(number)
    assert len(job.started) == 2
    assert psutil.pid_exists(job.started[-1].pid)
    assert job.handle.poll() == JobReturnCode.UNKNOWN
    assert job.thread.is_alive()
    assert job.ends == []


def test_a_forked_process_is_forked_again_with_the_same_arguments(
    supervise: Supervise, tmp_path: Path
) -> None:
    template = JobTemplate("client")
    command = [sys.executable, "-m", PROGRAM, str(tmp_path / "process.json"), "wait"]
    job = supervise(lambda: ProcessAdapter(pid=template.fork(command, dict(os.environ))))
    job.kill()
    assert len(job.started) == 2
    process = psutil.Process(job.started[-1].pid)
    eventually(lambda: process.cmdline() == command, 30, "the process has become the job")
    template.stop()


@pytest.mark.parametrize(
    ("code", "exit_code", "result"),
    [
        ("pass", 0, JobReturnCode.SUCCESS),
        ("raise ValueError", 1, JobReturnCode.EXECUTION_ERROR),
        ("import os; os._exit(3)", 3, JobReturnCode.EXECUTION_ERROR),
        ("import sys; sys.exit(9)", 9, JobReturnCode.ABORTED),
    ],
)
def test_a_process_that_exits_is_not_started_again(
    supervise: Supervise, code: str, exit_code: int, result: int
) -> None:
    job = supervise(python(code))
    job.end()
    assert len(job.started) == 1
    assert job.ends == [(exit_code, None)]
    assert job.handle.poll() == result


def test_a_process_of_the_server_that_nvflare_exits_is_started_again_at_most_twice(
    supervise: Supervise,
) -> None:
    """NVFlare calls os._exit(1) if it cannot receive the result of a site."""
    job = supervise(python("import os; os._exit(1)"), is_server=True)
    job.end()
    assert len(job.started) == 3
    ((code, death),) = job.ends
    assert code == 1
    assert death is not None
    assert death.text == "its job process ended with exit code 1, 3 times without progress"


@pytest.mark.parametrize("code", ["pass", "open({end!r}, 'w').write('ValueError'); raise SystemExit(1)"])
def test_a_process_of_the_server_that_ended_by_itself_is_not_started_again(
    supervise: Supervise, tmp_path: Path, code: str
) -> None:
    job = supervise(python(code.format(end=str(tmp_path / END_FILE))), is_server=True)
    job.end()
    assert len(job.started) == 1
    assert job.ends[0][1] is None


def test_a_process_that_was_killed_after_its_end_is_not_started_again(
    supervise: Supervise, tmp_path: Path
) -> None:
    """A library may crash when the interpreter exits; the job has finished by then."""
    job = supervise(SLEEP)
    (tmp_path / END_FILE).touch()
    job.kill(signal.SIGSEGV)
    job.end()
    assert len(job.started) == 1
    assert job.ends == [(-signal.SIGSEGV, None)]


def test_a_record_of_an_earlier_process_does_not_prevent_a_restart(
    supervise: Supervise, tmp_path: Path
) -> None:
    (tmp_path / END_FILE).touch()
    job = supervise(SLEEP)
    job.kill()
    assert len(job.started) == 2


def test_a_process_that_always_crashes_ends_after_two_restarts_with_its_reason(supervise: Supervise) -> None:
    job = supervise(python("import os; os.abort()"))
    job.end()
    assert len(job.started) == 3
    ((code, death),) = job.ends
    assert code == -signal.SIGABRT
    assert death is not None
    assert death.text == "its job process was killed by signal 6 (SIGABRT), 3 times without progress"
    assert job.handle.poll() == JobReturnCode.EXECUTION_ERROR


def test_an_aborted_process_is_not_started_again(supervise: Supervise) -> None:
    job = supervise(SLEEP)
    job.handle.terminate()
    job.end()
    assert len(job.started) == 1
    assert job.handle.poll() == JobReturnCode.EXECUTION_ERROR


def test_an_abort_between_two_lives_ends_the_job(supervise: Supervise) -> None:
    """The abort comes while the next process is being started; it must kill that process."""
    starting, release = threading.Event(), threading.Event()
    started: list[ProcessAdapter] = []

    def start() -> ProcessAdapter:
        if started:
            starting.set()
            release.wait(30)
        started.append(SLEEP())
        return started[-1]

    job = supervise(start)
    os.kill(job.started[0].pid, signal.SIGKILL)
    assert starting.wait(30)
    abort = threading.Thread(target=job.handle.terminate)
    abort.start()
    release.set()
    abort.join(30)
    job.end()
    assert not any(psutil.pid_exists(one.pid) for one in started)


@pytest.mark.parametrize("attempt", range(20))
def test_an_abort_at_any_moment_leaves_no_process(supervise: Supervise, attempt: int) -> None:
    job = supervise(SLEEP, limit=100)
    os.kill(job.started[-1].pid, signal.SIGKILL)
    threading.Event().wait(attempt / 1000)
    job.handle.terminate()
    job.end()
    assert not any(psutil.pid_exists(one.pid) for one in job.started)


def test_a_process_that_cannot_be_started_again_ends_the_job(supervise: Supervise) -> None:
    lives = iter([SLEEP])

    def start() -> ProcessAdapter:
        begin = next(lives, None)
        if begin is None:
            raise OSError("Cannot allocate memory")
        return begin()

    job = supervise(start)
    os.kill(job.started[-1].pid, signal.SIGKILL)
    job.end()
    ((_, death),) = job.ends
    assert death is not None
    assert "its job process cannot be started: Cannot allocate memory, 6 times" in death.text


def test_the_training_process_of_a_killed_process_does_not_stay() -> None:
    job = python(_WITH_CHILD, **{ENV_JOB_PROCESS: "1.j1"})()
    other = python("import time; time.sleep(600)", **{ENV_JOB_PROCESS: "1.j10"})()
    children: list[psutil.Process] = []
    eventually(lambda: children.extend(psutil.Process(job.pid).children()) or children, 30, "it has a child")
    os.kill(job.pid, signal.SIGKILL)
    job.wait()

    kill_marked("1.j1")

    eventually(lambda: not children[0].is_running() or children[0].status() == "zombie", 10, "it has ended")
    assert other.poll() is None
    other.terminate()
    other.wait()
