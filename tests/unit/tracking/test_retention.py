"""Retention of event files: until the job is deleted, or for a number of days after its end."""

from __future__ import annotations

import logging
import os
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.contract import ENV_ANALYTICS_KEEP_DAYS, SITE_LOGS_FOLDER
from fl_app.nvflare_internals.parents import ServerParent
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.tracking.event_files import EventFiles
from fl_app.tracking.parent import ParentAnalytics
from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.retention import DAY_SECONDS, Retention
from tests.waiting import eventually

NOW = 1_800_000_000.0
COMPLETED = "FINISHED:COMPLETED"


class Server:
    """Event files and a job store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = EventFiles(root, server="flare-server")
        self.jobs: dict[str, str | None] = {}

    def logged(self, status: str | None, days_ago: float = 0) -> str:
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


@pytest.mark.parametrize(
    ("statuses", "is_kept"),
    [
        ([COMPLETED, None, None], False),
        ([COMPLETED, None], True),  # the job store may miss a job once
        ([COMPLETED, None, COMPLETED, None, COMPLETED], True),
        ([None] * 5, True),  # the store's volume may not be mounted
    ],
)
def test_only_the_files_of_a_deleted_job_are_removed(
    server: Server, statuses: list[str | None], is_kept: bool
) -> None:
    job_id, other = server.logged(COMPLETED), server.logged(COMPLETED)
    retention = server.retention()
    for status in statuses:
        server.jobs[job_id] = status
        retention.check(NOW)

    assert server.kept == ({job_id, other} if is_kept else {other})


@pytest.mark.parametrize(
    ("status", "days_ago", "keep_days", "is_kept"),
    [
        (COMPLETED, 31, 30, False),
        (None, 31, 30, False),
        ("FINISHED:ABORTED", 29, 30, True),
        (COMPLETED, 3000, None, True),
        *((status, 3000, 1, True) for status in ("RUNNING", "SUBMITTED", "DISPATCHED", "")),
    ],
)
def test_the_files_of_an_ended_job_are_removed_when_they_expire(
    server: Server, status: str | None, days_ago: float, keep_days: float | None, is_kept: bool
) -> None:
    job_id = server.logged(status, days_ago)
    server.retention(keep_days).check(NOW)

    assert server.kept == ({job_id} if is_kept else set())


def test_other_files_and_folders_remain(server: Server) -> None:
    for name in ("imported", "2020"):
        (server.root / name).mkdir()
        os.utime(server.root / name, (0, 0))
    elsewhere = server.root / str(uuid.uuid4())
    elsewhere.symlink_to(server.root / "imported")
    (server.root / "notes.txt").touch()

    server.retention(keep_days=1).check(NOW)

    assert server.kept == {"imported", "2020", "notes.txt", elsewhere.name}


def test_removals_are_logged_and_a_late_value_is_written(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fl_app.tracking.retention.CHECK_SECONDS", 0.01)
    job_id = server.logged(COMPLETED, days_ago=4000)
    retention = server.retention(keep_days=366)
    with caplog.at_level(logging.INFO):
        retention.start()
        eventually(lambda: caplog.messages and not server.kept, what="the files are removed")
    retention.close()
    server.log(job_id)

    assert f"removed the event files of job {job_id}: nothing was logged for 366 days" in caplog.text
    assert list((server.root / job_id / "site-1").iterdir())


def test_the_logs_of_sites_are_removed_as_event_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = str(uuid.uuid4())
    log = tmp_path / SITE_LOGS_FOLDER / job_id / "site-1" / "log.txt"
    log.parent.mkdir(parents=True)
    log.touch()
    for path in (log, log.parent, log.parents[1]):
        os.utime(path, (0, 0))
    parent = ServerParent(cast(Any, None))
    monkeypatch.setattr(parent, "job_status", lambda job_id: COMPLETED)
    endpoint = SimpleNamespace(
        identity=ParentIdentity("server", "server"), gateway=SimpleNamespace(register=lambda one: None)
    )
    monkeypatch.setattr("fl_app.tracking.parent.parent_of", lambda fl_ctx: parent)
    monkeypatch.setattr("fl_app.tracking.parent.parent_endpoint", lambda *names: endpoint)
    monkeypatch.setattr("fl_app.tracking.parent.listen", lambda listener: None)
    monkeypatch.setattr("fl_app.tracking.retention.CHECK_SECONDS", 0.01)
    monkeypatch.setenv(ENV_ANALYTICS_KEEP_DAYS, "30")
    context = FLContext()
    context.set_prop(FLContextKey.WORKSPACE_OBJECT, SimpleNamespace(get_root_dir=lambda: str(tmp_path)))
    analytics = ParentAnalytics()

    analytics.handle_event(EventType.SYSTEM_BOOTSTRAP, context)
    try:
        eventually(lambda: not log.exists(), 5, what="the log is removed")
    finally:
        analytics.handle_event(EventType.SYSTEM_END, context)
