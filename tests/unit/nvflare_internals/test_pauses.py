"""The pauses of NVFlare's loops around the start and the end of a job."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from nvflare.private.fed import authenticator
from nvflare.private.fed.app.client import worker_process
from nvflare.private.fed.client import client_app_runner, client_runner
from nvflare.private.fed.server import job_runner

from fl_app.nvflare_internals import pauses
from fl_app.nvflare_internals.pauses import (
    job_submitted,
    log_in_soon,
    schedule_jobs_soon,
    start_site_job_soon,
)

MODULES = (authenticator, client_app_runner, client_runner, job_runner)


@pytest.fixture(autouse=True)
def _nvflares_own_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the modules of NVFlare after each test."""
    for module in MODULES:
        monkeypatch.setattr(module, "time", module.time)
    monkeypatch.setattr(worker_process, "monitor_parent_process", worker_process.monitor_parent_process)
    end_loop = job_runner.JobRunner._job_complete_process
    monkeypatch.setattr(job_runner.JobRunner, "_job_complete_process", end_loop)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Record the pauses in place of taking them."""
    pauses_taken: list[float] = []
    own_time = SimpleNamespace(sleep=pauses_taken.append, monotonic=pauses.time.monotonic)
    monkeypatch.setattr(pauses, "time", own_time)
    yield pauses_taken


def test_a_login_asks_again_soon_and_later_as_seldom_as_nvflare(slept: list[float]) -> None:
    log_in_soon()

    for _ in range(pauses.SHORT_PAUSES + 1):
        authenticator.time.sleep(1.0)

    assert slept == [0.1] * pauses.SHORT_PAUSES + [1.0]
    assert authenticator.time.monotonic() > 0


def test_a_sites_job_process_starts_soon_and_keeps_the_interval_of_its_task_requests(
    slept: list[float],
) -> None:
    start_site_job_soon()

    client_app_runner.time.sleep(0.5)
    client_runner.time.sleep(5.0)
    client_runner.time.sleep(0.5)
    client_runner.time.sleep(0.5)

    assert slept == [0.1, 5.0, 0.1, 0.5]


def _run(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_the_scheduler_waits_until_a_job_is_submitted() -> None:
    pauses._submitted.clear()
    schedule_jobs_soon()
    scheduler = _run(lambda: job_runner.time.sleep(60.0))

    scheduler.join(0.05)
    assert scheduler.is_alive()
    job_submitted()

    scheduler.join(10)
    assert not scheduler.is_alive()


class _JobRunner(SimpleNamespace):
    """NVFlare's job runner, which stops after `turns` turns of the loop that notices the ends of jobs.

    Those of its jobs that have ended stay. It has another one in the last turns, `with_another`.
    """

    turns: int
    with_another: int
    running_jobs: dict[str, object]

    @property
    def ask_to_stop(self) -> bool:
        self.turns -= 1
        if self.turns < self.with_another:
            self.running_jobs["another"] = None
        return self.turns < 0


def _notice_ends(turns: int, jobs: list[str], with_another: int = 0) -> None:
    schedule_jobs_soon()
    runner = _JobRunner(turns=turns, with_another=with_another, running_jobs=dict.fromkeys(jobs))
    engine = SimpleNamespace(get_component=lambda name: None, run_processes={"running": None})
    engine.remove_exception_process = lambda job_id: None
    _run(lambda: job_runner.JobRunner._job_complete_process(runner, engine)).join()


def test_the_end_of_a_job_is_noticed_soon(slept: list[float]) -> None:
    turns = pauses.END_CHECKS + 5

    _notice_ends(turns, ["running"])

    assert slept == [pauses.END_CHECK_SECONDS] * turns


def test_a_job_whose_end_cannot_be_handled_is_tried_again_as_seldom_as_by_nvflare(
    slept: list[float],
) -> None:
    """NVFlare logs a traceback at each try, for example while the volume is full."""
    _notice_ends(2 * pauses.END_CHECKS + 3, ["running", "ended"], with_another=pauses.END_CHECKS + 1)

    short = [pauses.END_CHECK_SECONDS] * pauses.END_CHECKS
    assert slept == [*short, 1.0, 1.0, *short, 1.0]


def test_a_sites_job_process_does_not_wait_for_the_thread_that_watches_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pauses, "PARENT_CHECK_SECONDS", 60.0)
    stopped, ended = threading.Event(), threading.Event()
    start_site_job_soon()
    runner = SimpleNamespace(stop=stopped.set)
    watch = _run(lambda: worker_process.monitor_parent_process(runner, os.getpid(), ended))

    assert not stopped.wait(0.05)
    ended.set()

    watch.join(10)
    assert not watch.is_alive()


def test_a_sites_job_process_stops_when_its_parent_has_ended() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ""])
    parent.wait()
    stopped = threading.Event()
    start_site_job_soon()

    worker_process.monitor_parent_process(SimpleNamespace(stop=stopped.set), parent.pid, threading.Event())

    assert stopped.is_set()
