"""The queue of logged values and the forwarder: nothing is lost, and refused values are reported."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tenacity import wait_none

from fl_app.tracking.forward.forwarder import Forwarder
from fl_app.tracking.forward.receiver import RefusedError, RunRefusedError, UnavailableError, key_of
from fl_app.tracking.points import AnyPoint, HistogramPoint, ScalarPoint, TextPoint
from fl_app.tracking.queue import QueuedJob, TrackingQueue

COMPLETED = "FINISHED:COMPLETED"
TEXT = [TextPoint(tag="note", time=0, value="x" * 60_000)]


@dataclass
class Tracker:
    """A tracker in memory that refuses negative values."""

    name: str = "mlflow"
    batch: int = 4
    failures: int = 0
    """Number of calls for which it is unavailable."""
    blocked: dict[str, Exception] = field(default_factory=dict)
    """Errors of the jobs whose runs cannot be opened."""
    accepted: dict[str, list[float]] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def _answer(self) -> None:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("connection refused")

    def open(self, job: QueuedJob) -> str:
        self._answer()
        if job.id in self.blocked:
            raise self.blocked[job.id]
        if not job.run:
            self.opened.append(job.id)
        return f"run of {job.id}"

    def send(self, job: QueuedJob, points: Sequence[AnyPoint]) -> None:
        self._answer()
        values = [point.value for point in points if isinstance(point, ScalarPoint)]
        if any(value < 0 for value in values):
            raise RefusedError("negative")
        self.accepted.setdefault(job.run, []).extend(values)

    def close(self, job: QueuedJob) -> None:
        self._answer()
        self.closed[job.id] = job.status


def job(job_id: str = "one", started: float = 1.0) -> QueuedJob:
    return QueuedJob(job_id, f"job {job_id}", project="clinics", server="flare-server", started=started)


def values(*numbers: float) -> list[ScalarPoint]:
    return [ScalarPoint(site="site-1", tag="loss", step=0, time=0, value=number) for number in numbers]


def number(queue: TrackingQueue, sql: str = "SELECT COUNT(*) FROM points") -> int:
    """Return the number that a query of the database yields; default: the number of queued values."""
    with sqlite3.connect(queue.file) as database:
        return int(database.execute(sql).fetchone()[0])


Forward = Callable[[Tracker], Tracker]


@pytest.fixture
def queue(tmp_path: Path) -> TrackingQueue:
    return TrackingQueue(tmp_path, "mlflow", max_bytes=200_000)


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def forward(tmp_path: Path, reports: list[str]) -> Forward:
    """Send all queued values, with a connection of its own as in a sender process."""

    def run(tracker: Tracker) -> Tracker:
        forwarder = Forwarder(tracker, TrackingQueue(tmp_path, tracker.name), wait_none(), reports.append)
        while forwarder.forward()[1]:
            pass
        return tracker

    return run


def test_all_values_are_sent_in_order_and_the_run_is_closed(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(*range(9)))
    tracker = forward(Tracker())
    assert not tracker.closed, "a run remains open while its job is running"
    queue.add(job(), values(9))
    queue.end("one", COMPLETED)
    assert queue.state().backlog == 1

    forward(tracker)

    assert tracker.accepted == {"run of one": list(range(10))}
    assert tracker.closed == {"one": COMPLETED}
    assert (queue.state().backlog, queue.state().sent, queue.unfinished()) == (0, 10, [])


@pytest.mark.parametrize("is_late", [True, False])
def test_a_value_that_is_logged_while_or_after_its_run_is_closed_is_sent(
    queue: TrackingQueue, forward: Forward, is_late: bool
) -> None:
    class Logging(Tracker):
        def close(self, job: QueuedJob) -> None:
            if not self.closed and not is_late:
                queue.add(job, values(2))
            super().close(job)

    queue.add(job(), values(1))
    queue.end("one", COMPLETED)
    tracker = forward(Logging())
    if is_late:
        queue.add(job(), values(2))
        forward(tracker)

    assert tracker.accepted == {"run of one": [1, 2]}
    assert number(queue) == 0


def test_an_unavailable_tracker_gets_all_values_later_and_is_reported_once(
    queue: TrackingQueue, forward: Forward, reports: list[str]
) -> None:
    queue.add(job(), values(1, 2, 3))
    queue.end("one", COMPLETED)

    tracker = forward(Tracker(failures=7))

    assert tracker.accepted == {"run of one": [1, 2, 3]}
    assert reports == [
        f"mlflow is unavailable: connection refused; values remain in {queue.file} until it is available",
        "mlflow is available again",
    ]
    assert queue.state().error == ""


def test_a_refused_run_does_not_block_other_jobs_and_is_tried_again_after_a_restart(
    queue: TrackingQueue, forward: Forward, reports: list[str]
) -> None:
    queue.add(job("refused"), values(1, 2))
    queue.add(job("next", started=2.0), values(3))
    tracker = forward(Tracker(blocked={"refused": RunRefusedError("HTTP 403: no permission")}))

    assert tracker.accepted == {"run of next": [3]}
    assert reports == [
        "mlflow refused the run of job job refused (refused): HTTP 403: no permission; 2 values and later "
        f"ones remain in {queue.file} and are sent again after a restart of the server"
    ]
    assert (queue.state().backlog, queue.state().failed) == (0, 2)
    assert queue.add(job("refused"), values(4)) == 3, "the job learns of all values that are lost"
    assert queue.add(job("refused"), []) == 0
    forward(tracker)
    assert len(reports) == 1

    queue.retry_refused()
    queue.end("refused", COMPLETED)
    tracker.blocked.clear()
    forward(tracker)

    assert tracker.accepted["run of refused"] == [1, 2, 4]
    assert number(queue) == 0


def test_a_run_that_is_never_available_does_not_block_other_jobs(
    queue: TrackingQueue, tmp_path: Path, reports: list[str]
) -> None:
    tracker = Tracker(blocked={"blocked": UnavailableError("values have not arrived")})
    queue.add(job("blocked"), values(1))
    queue.add(job("next", started=2.0), values(2))

    def stop_waiting(_: object) -> float:
        if tracker.accepted:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        Forwarder(tracker, TrackingQueue(tmp_path, "mlflow"), stop_waiting, reports.append).forward()

    assert tracker.accepted == {"run of next": [2]}
    assert [report.partition(";")[0] for report in reports] == [
        "mlflow is unavailable: values have not arrived"
    ]


def test_another_process_continues_after_the_last_batch(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(1, 2))
    forward(Tracker())
    TrackingQueue(queue.file.parent, "mlflow").add(job(), values(3))  # a restarted parent

    second = forward(Tracker())

    assert second.opened == []
    assert second.accepted == {"run of one": [3]}


def test_a_refused_or_unreadable_value_does_not_affect_the_rest_of_its_batch(
    queue: TrackingQueue, forward: Forward, reports: list[str]
) -> None:
    queue.add(job(), values(1, -1, 2, 3, 4, -2, 5))
    with sqlite3.connect(queue.file) as database:
        database.execute("""UPDATE points SET content = '{"kind": "hologram"}' WHERE number = 7""")

    tracker = forward(Tracker())

    assert tracker.accepted == {"run of one": [1, 2, 3, 4]}
    assert (queue.state().sent, queue.state().failed) == (4, 3)
    assert reports == ["mlflow refused a value of job job one (one): negative"] * 2
    assert queue.add(job(), values(6)) == 3, "the job learns of the values that are lost"


def test_images_and_histograms_are_not_queued(queue: TrackingQueue) -> None:
    queue.add(job(), [HistogramPoint(tag="w", time=0, edges=(0, 1), counts=(1,))])
    assert queue.state().backlog == 0


def test_a_full_queue_drops_values_until_values_were_sent(queue: TrackingQueue, forward: Forward) -> None:
    assert [queue.add(job(), TEXT) for _ in range(5)] == [0, 0, 1, 1, 1]
    assert (queue.state().backlog, queue.state().failed) == (2, 3)

    for _ in range(4):  # the limit is for values that wait, not for all values that were ever queued
        forward(Tracker())
        assert queue.add(job(), TEXT) == 0
    queue.end("one", COMPLETED)
    forward(Tracker())
    assert queue.state().failed == 3, "the counter does not fall when the job is removed"
    assert number(queue, "PRAGMA page_count") < 10, "the space is returned to the volume"


def test_a_tracker_that_is_down_does_not_fill_the_queue_of_another(
    tmp_path: Path, queue: TrackingQueue, forward: Forward
) -> None:
    other = TrackingQueue(tmp_path, "wandb", max_bytes=200_000)
    lost = []
    for _ in range(5):
        other.add(job(), TEXT)
        lost.append(queue.add(job(), TEXT))
        forward(Tracker())

    assert lost == [0, 0, 0, 0, 0]
    assert (queue.state().sent, other.state().failed) == (5, 3)


def test_values_that_wait_displace_those_of_refused_runs(queue: TrackingQueue, forward: Forward) -> None:
    for _ in range(2):
        queue.add(job("refused"), TEXT)
    forward(Tracker(blocked={"refused": RunRefusedError("no permission")}))

    assert [queue.add(job("next"), TEXT) for _ in range(3)] == [0, 0, 1]


def test_only_the_owner_can_read_the_queue(queue: TrackingQueue) -> None:
    queue.add(job(), values(1))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in queue.file.parent.iterdir()}

    assert modes == {f"mlflow.sqlite3{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_the_key_of_a_value_is_its_site_or_the_server_and_its_tag() -> None:
    (of_site,) = values(1)
    assert key_of(job(), of_site) == "site-1/loss"
    assert key_of(job(), of_site.model_copy(update={"site": ""})) == "flare-server/loss"
