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
    schedule_jobs_soon()
    scheduler = _run(lambda: job_runner.time.sleep(60.0))

    job_submitted()

    scheduler.join(10)
    assert not scheduler.is_alive()


def test_the_end_of_a_job_is_noticed_soon(slept: list[float]) -> None:
    schedule_jobs_soon()

    def _job_complete_process() -> None:
        job_runner.time.sleep(1.0)

    _run(_job_complete_process).join()

    assert slept == [pauses.END_CHECK_SECONDS]


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
