"""Polling of a watched job."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from deploy.session import watching
from deploy.session.session import COMPLETED, RUNNING, SUBMITTED, Job
from deploy.session.watching import poll_interval, watch
from fl_app.telemetry.job_progress import JobProgress


@pytest.mark.parametrize(
    ("quiet", "seconds"), [(0.0, 0.1), (1.0, 0.1), (10.0, 0.5), (20.0, 1.0), (3600.0, 1.0)]
)
def test_the_polling_interval_grows_up_to_a_second(quiet: float, seconds: float) -> None:
    assert poll_interval(quiet) == pytest.approx(seconds)


class _Watched:
    """A session and a clock. The job waits for a second; its process starts two seconds later."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def job(self, job_id: str) -> Job:
        since = self.now - 1000.0
        status = SUBMITTED if since < 1.0 else RUNNING if since < 6.0 else COMPLETED
        return Job(job_id, "probe", status, "", datetime.now(timezone.utc), "", "", "")

    def progress(self, job_id: str) -> JobProgress | None:
        since = round(self.now - 1000.0, 1)
        self.asked.append(since)
        return JobProgress(round=1, rounds=2) if since >= 3.0 else None


def test_a_starting_process_is_polled_less_often_than_a_running_one(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = _Watched()
    monkeypatch.setattr(watching, "time", watched)
    session: Any = watched
    last = list(watch(session, "job"))[-1]
    assert last.job.status == COMPLETED
    assert last.progress == JobProgress(round=1, rounds=2)
    starting = [since for since in watched.asked if since < 3.0]
    assert len(starting) <= 2, "the server logs an error for each of these polls"
    running = [since for since in watched.asked if since >= 3.0]
    assert len(running) >= 6


class _Restarted(_Watched):
    """A job whose process on the server is started again after its first answer."""

    def progress(self, job_id: str) -> JobProgress | None:
        restarted = self.now - 1000.0 >= 4.0
        return JobProgress() if restarted else JobProgress(round=8, rounds=9)


def test_a_process_that_is_started_again_does_not_reset_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = _Restarted()
    monkeypatch.setattr(watching, "time", watched)
    session: Any = watched
    assert {seen.progress.round for seen in watch(session, "job") if seen.progress} == {8}
