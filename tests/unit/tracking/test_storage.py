"""Storage of analytics: limits, and failures of a queue, which do not affect event files."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from nvflare.apis.fl_constant import RunProcessKey

from fl_app.nvflare_internals.parents import ServerParent
from fl_app.telemetry.push_gateway import DocumentRefusedError
from fl_app.tracking.points import AnalyticsDocument, ScalarPoint
from fl_app.tracking.queue import TrackingQueue
from fl_app.tracking.storage import QUEUE_FOLDER, AnalyticsStorage
from tests.event_files import read_run


def document(*sites: str) -> AnalyticsDocument:
    return AnalyticsDocument(
        points=tuple(ScalarPoint(site=site, tag="loss", time=1.0, value=0.5) for site in sites)
    )


@pytest.fixture
def queue(tmp_path: Path) -> TrackingQueue:
    return TrackingQueue(tmp_path / QUEUE_FOLDER, "mlflow")


@pytest.fixture
def storage(
    tmp_path: Path, queue: TrackingQueue, request: pytest.FixtureRequest
) -> Iterator[AnalyticsStorage]:
    if damage := getattr(request, "param", None):
        damage(queue)
    stored = AnalyticsStorage(
        *(tmp_path, "clinics", "flare-server", ["mlflow"]),
        ended_status=lambda _: "",
        sites_of=lambda _: ["site-1", "site-2"],
    )
    yield stored
    stored.close()


def damage_file(queue: TrackingQueue) -> None:
    queue.file.write_bytes(b"damaged" * 1000)
    for file in queue.file.parent.glob("*-*"):
        file.unlink()


def damage_table(queue: TrackingQueue) -> None:
    with closing(queue._database) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'points'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with queue.file.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("storage", [damage_file, damage_table], indirect=True)
def test_event_files_are_written_if_the_queue_is_damaged(
    storage: AnalyticsStorage, caplog: pytest.LogCaptureFixture
) -> None:
    assert [storage.accept("job-1", document("site-1")) for _ in range(2)] == [1, 1]

    (report,) = (record.getMessage() for record in caplog.get_records("setup") + caplog.records)
    assert re.search(r"cannot be opened; nothing is sent to mlflow|mlflow.sqlite3 is damaged", report)
    assert list((storage.folder / "job-1" / "site-1").iterdir())


def test_a_job_retries_if_the_queue_cannot_be_written(
    storage: AnalyticsStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(storage.queues[0], "add", full)
    with pytest.raises(DocumentRefusedError) as refused:
        storage.accept("job-1", document("site-1"))

    assert refused.value.status == 507
    assert "values cannot be stored; jobs retry until they can: database or disk is full" in caplog.text


def test_values_of_invented_sites_are_dropped_and_reported_once(
    storage: AnalyticsStorage, caplog: pytest.LogCaptureFixture
) -> None:
    for first in (0, 1500):
        invented = [f"invented-{number}" for number in range(first, first + 1500)]
        assert storage.accept("job-1", document("", "site-2", *invented)) == 1500

    assert {folder.name for folder in (storage.folder / "job-1").iterdir()} == {"flare-server", "site-2"}
    assert storage.queues[0].state().backlog == 4
    (report,) = caplog.messages
    assert report == (
        "Analytics: values of job job-1 are lost: they name a site that does not take part in the job"
    )


def test_a_job_learns_of_the_values_that_a_tracker_lost_later(
    storage: AnalyticsStorage, queue: TrackingQueue, caplog: pytest.LogCaptureFixture
) -> None:
    assert storage.accept("job-1", document("site-1")) == 0
    queue.refuse("job-1")

    assert storage.accept("job-1", document()) == 1
    assert caplog.messages == [
        "Analytics: values of job job-1 are lost: mlflow refused them, or its queue is full"
    ]


def test_the_sites_of_a_job_are_its_participants_or_all_registered_sites() -> None:
    one, two = SimpleNamespace(name="site-1"), SimpleNamespace(name="site-2")
    running = {RunProcessKey.PARTICIPANTS: {"token": one}}
    server: Any = Mock(engine=Mock(run_processes={"running": running}, get_clients=lambda: [one, two]))

    assert ServerParent(server).job_sites("running") == {"site-1"}
    assert ServerParent(server).job_sites("unknown") == {"site-1", "site-2"}


def test_a_round_that_is_trained_again_is_in_the_event_files_and_in_the_queue_once(
    storage: AnalyticsStorage, queue: TrackingQueue
) -> None:
    def log(*steps: int) -> None:
        points = [ScalarPoint(site="site-1", tag="loss", step=step, time=1.0, value=0.5) for step in steps]
        assert storage.accept("job-1", AnalyticsDocument(points=tuple(points))) == 0

    log(1, 2)
    storage.interrupted("job-1")
    log(2, 3)

    run = read_run(storage.folder / "job-1" / "site-1")
    assert [point.step for point in run.Scalars("loss")] == [1, 2, 3]
    (job,) = queue.unfinished()
    assert [point.step for point in queue.read(job, 10)[0] if point] == [1, 2, 3]


def test_a_series_without_steps_loses_one_value_after_an_interruption(
    storage: AnalyticsStorage, queue: TrackingQueue
) -> None:
    def log(value: float) -> None:
        point = ScalarPoint(site="site-1", tag="loss", time=1.0, value=value)
        assert storage.accept("job-1", AnalyticsDocument(points=(point,))) == 0

    log(0.9)
    storage.interrupted("job-1")
    for value in (0.9, 0.8, 0.7):
        log(value)

    (job,) = queue.unfinished()
    points = [point for point in queue.read(job, 10)[0] if isinstance(point, ScalarPoint)]
    assert [point.value for point in points] == [0.9, 0.8, 0.7]
