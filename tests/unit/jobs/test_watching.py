"""How often a job that is watched is asked."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from deploy.session import watching
from deploy.session.session import COMPLETED, RUNNING, SUBMITTED, Job
from deploy.session.watching import pause_after, watch
from fl_app.telemetry.job_progress import JobProgress


@pytest.mark.parametrize(
    ("quiet", "seconds"), [(0.0, 0.1), (1.0, 0.1), (10.0, 0.5), (20.0, 1.0), (3600.0, 1.0)]
)
def test_a_job_of_which_nothing_is_new_is_asked_less_often_and_never_seldom(
    quiet: float, seconds: float
) -> None:
    assert pause_after(quiet) == pytest.approx(seconds)


class _Watched:
    """A session and a clock: of a job that waits for a second, whose process then takes two to start."""

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


def test_a_process_that_only_starts_is_asked_seldom_and_often_once_it_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = _Watched()
    monkeypatch.setattr(watching, "time", watched)
    session: Any = watched
    last = list(watch(session, "job"))[-1]
    assert last.job.status == COMPLETED
    assert last.progress == JobProgress(round=1, rounds=2)
    starting = [since for since in watched.asked if since < 3.0]
    assert len(starting) <= 2, "the server's log has an error for each of these questions"
    telling = [since for since in watched.asked if since >= 3.0]
    assert len(telling) >= 6
