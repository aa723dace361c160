"""Retention of event files: until the job is deleted, or for a number of days after its end."""

from __future__ import annotations

import logging
import os
import uuid
from pathlib import Path

import pytest

from fl_app.tracking.event_files import EventFiles
from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.retention import DAY_SECONDS, Retention
from tests.waiting import eventually

NOW = 1_800_000_000.0
COMPLETED, RUNNING = "FINISHED:COMPLETED", "RUNNING"


class Server:
    """Event files and a job store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = EventFiles(root, server="flare-server")
        self.jobs: dict[str, str] = {}

    def logged(self, status: str, days_ago: float = 0) -> str:
        """Return the id of a job with this status whose last value was logged `days_ago` before NOW."""
        job_id = str(uuid.uuid4())
        self.jobs[job_id] = status
        self.log(job_id)
        for path in [*(self.root / job_id).rglob("*"), self.root / job_id]:
            os.utime(path, (NOW - days_ago * DAY_SECONDS,) * 2)
        return job_id

    def log(self, job_id: str) -> None:
        self.files.write(job_id, [ScalarPoint(site="site-1", tag="loss", step=1, time=1.0, value=1.0)])

    def retention(self, keep_days: float | None = None) -> Retention:
        return Retention(self.root, self.jobs.get, keep_days)

    @property
    def kept(self) -> set[str]:
        return {path.name for path in self.root.iterdir()}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_only_the_files_of_a_deleted_job_are_removed(server: Server) -> None:
    deleted, ended = server.logged(COMPLETED), server.logged(COMPLETED)
    retention = server.retention()
    retention.check(NOW)
    del server.jobs[deleted]

    retention.check(NOW)
    assert server.kept == {deleted, ended}, "a job that is missing once is not deleted"
    retention.check(NOW)
    assert server.kept == {ended}


def test_a_job_that_is_missing_once_keeps_its_files(server: Server) -> None:
    job_id = server.logged(COMPLETED)
    retention = server.retention()
    for status in (COMPLETED, None, COMPLETED, None, COMPLETED):
        server.jobs.clear()
        if status:
            server.jobs[job_id] = status
        retention.check(NOW)

    assert server.kept == {job_id}


def test_the_files_of_a_job_that_was_never_in_the_store_remain(server: Server) -> None:
    """The store's volume may not be mounted."""
    job_id = server.logged(COMPLETED)
    server.jobs.clear()
    retention = server.retention()
    for _ in range(5):
        retention.check(NOW)

    assert server.kept == {job_id}


def test_by_default_old_files_remain(server: Server) -> None:
    old = server.logged(COMPLETED, days_ago=3000)
    server.retention().check(NOW)

    assert server.kept == {old}


def test_expired_files_of_an_ended_job_are_removed(server: Server) -> None:
    server.logged(COMPLETED, days_ago=31)
    unknown = server.logged(COMPLETED, days_ago=31)
    del server.jobs[unknown]
    recent = server.logged("FINISHED:ABORTED", days_ago=29)

    server.retention(keep_days=30).check(NOW)

    assert server.kept == {recent}


@pytest.mark.parametrize("status", [RUNNING, "SUBMITTED", "DISPATCHED", ""])
def test_a_job_that_has_not_ended_keeps_old_files(server: Server, status: str) -> None:
    job_id = server.logged(status, days_ago=3000)
    server.retention(keep_days=1).check(NOW)

    assert server.kept == {job_id}


def test_other_files_and_folders_remain(server: Server) -> None:
    for name in ("imported", "2020"):
        (server.root / name).mkdir()
        os.utime(server.root / name, (0, 0))
    elsewhere = server.root / str(uuid.uuid4())
    elsewhere.symlink_to(server.root / "imported")
    (server.root / "notes.txt").touch()

    server.retention(keep_days=1).check(NOW)

    assert server.kept == {"imported", "2020", "notes.txt", elsewhere.name}


def test_a_job_can_log_after_its_files_were_removed(server: Server) -> None:
    job_id = server.logged(COMPLETED, days_ago=2)
    server.retention(keep_days=1).check(NOW)
    assert server.kept == set()

    server.log(job_id)

    assert list((server.root / job_id / "site-1").iterdir())


def test_removals_are_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fl_app.tracking.retention.CHECK_SECONDS", 0.01)
    job_id = server.logged(COMPLETED, days_ago=4000)
    retention = server.retention(keep_days=366)
    with caplog.at_level(logging.INFO):
        retention.start()
        eventually(lambda: caplog.messages and not server.kept, what="the files are removed")
    retention.close()

    assert f"removed the event files of job {job_id}: nothing was logged for 366 days" in caplog.text
