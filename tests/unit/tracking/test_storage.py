"""Storage of analytics: a failure of the queue does not affect event files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fl_app.telemetry.push_gateway import DocumentRefusedError
from fl_app.tracking.points import AnalyticsDocument, ScalarPoint
from fl_app.tracking.queue import DATABASE, TrackingQueue
from fl_app.tracking.storage import QUEUE_FOLDER, AnalyticsStorage

DOCUMENT = AnalyticsDocument(points=(ScalarPoint(site="site-1", tag="loss", time=1.0, value=0.5),))


def storage(workspace: Path) -> AnalyticsStorage:
    return AnalyticsStorage(workspace, "clinics", "flare-server", ["mlflow"], lambda _: "")


def test_event_files_are_written_if_the_queue_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / QUEUE_FOLDER).mkdir()
    (tmp_path / QUEUE_FOLDER / DATABASE).write_bytes(b"damaged" * 1000)

    stored = storage(tmp_path)

    assert "cannot be opened; nothing is sent to trackers: file is not a database" in caplog.text
    assert stored.accept("job-1", DOCUMENT) == 0
    assert list((stored.folder / "job-1" / "site-1").iterdir())


def test_a_job_retries_if_the_queue_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored = storage(tmp_path)
    assert stored.queue is not None

    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(stored.queue, "add", full)
    with pytest.raises(DocumentRefusedError) as refused:
        stored.accept("job-1", DOCUMENT)
    stored.close()

    assert refused.value.status == 507
    assert "values cannot be stored; jobs retry until they can: database or disk is full" in caplog.text


def test_event_files_are_written_if_a_table_of_the_queue_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(TrackingQueue(tmp_path / QUEUE_FOLDER, ["mlflow"])._database) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with (tmp_path / QUEUE_FOLDER / DATABASE).open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    stored = storage(tmp_path)

    for _ in range(2):
        assert stored.accept("job-1", DOCUMENT) == 1
    stored.close()

    assert caplog.text.count("is damaged; nothing is sent to trackers") == 1
    assert list((stored.folder / "job-1" / "site-1").iterdir())
