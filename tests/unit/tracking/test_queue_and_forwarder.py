"""The queue of logged values and the forwarder: nothing is lost, and refused values are reported."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tenacity import wait_none

from fl_app.tracking.forward.forwarder import Forwarder
from fl_app.tracking.forward.receiver import RefusedError, UnavailableError, key_of
from fl_app.tracking.points import AnyPoint, HistogramPoint, ScalarPoint, TextPoint
from fl_app.tracking.queue import DATABASE, QueuedJob, TrackingQueue

COMPLETED = "FINISHED:COMPLETED"


@dataclass
class Tracker:
    """A tracker in memory that can be unavailable, and that refuses negative values."""

    name: str = "mlflow"
    batch: int = 4
    failures: int = 0
    """Number of calls for which it is unavailable."""
    accepted: dict[str, list[float]] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def _answer(self) -> None:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("connection refused")

    def open(self, job: QueuedJob, run: str) -> str:
        self._answer()
        if not run:
            self.opened.append(job.id)
        return f"run of {job.id}"

    def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        self._answer()
        values = [point.value for point in points if isinstance(point, ScalarPoint)]
        if any(value < 0 for value in values):
            raise RefusedError("negative")
        self.accepted.setdefault(run, []).extend(values)

    def close(self, job: QueuedJob, run: str) -> None:
        self._answer()
        self.closed[job.id] = job.status


def job(job_id: str = "one", started: float = 1.0) -> QueuedJob:
    return QueuedJob(job_id, f"job {job_id}", project="clinics", server="flare-server", started=started)


def values(*numbers: float) -> list[ScalarPoint]:
    return [ScalarPoint(site="site-1", tag="loss", step=0, time=0, value=number) for number in numbers]


def number(queue: TrackingQueue, sql: str = "SELECT COUNT(*) FROM points") -> int:
    """Return the number that a query of the database yields; default: the number of queued values."""
    with sqlite3.connect(queue.folder / DATABASE) as database:
        return int(database.execute(sql).fetchone()[0])


Forward = Callable[[Tracker], Tracker]


@pytest.fixture
def queue(tmp_path: Path) -> TrackingQueue:
    return TrackingQueue(tmp_path, ["mlflow"])


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def forward(tmp_path: Path, reports: list[str]) -> Forward:
    """Send all queued values, with a connection of its own as in a sender process."""

    def run(tracker: Tracker) -> Tracker:
        queue = TrackingQueue(tmp_path, [tracker.name])
        forwarder = Forwarder(tracker, queue, wait_none(), reports.append)
        while forwarder.forward()[1]:
            pass
        return tracker

    return run


def test_all_values_are_sent_in_order_and_the_run_is_closed(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(*range(10)))
    queue.end("one", COMPLETED)
    assert queue.backlog("mlflow") == 10

    tracker = forward(Tracker())

    assert tracker.accepted == {"run of one": list(range(10))}
    assert tracker.closed == {"one": COMPLETED}
    assert (queue.backlog("mlflow"), queue.unfinished("mlflow")) == (0, [])
    assert queue.state("mlflow").sent == 10


def test_a_run_remains_open_while_its_job_is_running(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(1))
    tracker = forward(Tracker())
    assert not tracker.closed

    queue.add(job(), values(2))
    queue.end("one", "FINISHED:ABORTED")
    forward(tracker)

    assert tracker.accepted == {"run of one": [1, 2]}
    assert tracker.closed == {"one": "FINISHED:ABORTED"}


def test_a_late_value_of_a_closed_run_is_sent(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(1))
    queue.end("one", COMPLETED)
    tracker = forward(Tracker())
    queue.add(job(), values(2))
    queue.remove_sent()
    assert queue.backlog("mlflow") == 1

    forward(tracker)
    queue.remove_sent()

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
        f"mlflow is unavailable: connection refused; values remain in {queue.folder} until it is available",
        "mlflow is available again",
    ]
    assert queue.state("mlflow").error == ""


def test_another_process_continues_after_the_last_batch(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(1, 2))
    forward(Tracker())
    queue = TrackingQueue(queue.folder, ["mlflow"])  # a restarted parent
    queue.add(job(), values(3))

    second = forward(Tracker())

    assert second.opened == []
    assert second.accepted == {"run of one": [3]}
    assert queue.backlog("mlflow") == 0


def test_a_refused_value_does_not_affect_the_rest_of_its_batch(
    queue: TrackingQueue, forward: Forward, reports: list[str]
) -> None:
    queue.add(job(), values(1, -1, 2, 3, 4, -2))

    tracker = forward(Tracker())

    assert tracker.accepted == {"run of one": [1, 2, 3, 4]}
    assert (queue.state("mlflow").sent, queue.state("mlflow").failed) == (4, 2)
    assert reports == ["mlflow refused 1 values of job job one (one): negative"] * 2


def test_a_value_that_cannot_be_parsed_is_counted_and_skipped(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(1, 2, 3))
    with sqlite3.connect(queue.folder / DATABASE) as database:
        database.execute("""UPDATE points SET content = '{"kind": "hologram"}' WHERE number = 2""")

    tracker = forward(Tracker())

    assert tracker.accepted == {"run of one": [1, 3]}
    assert queue.state("mlflow").failed == 1


def test_images_and_histograms_are_not_queued(queue: TrackingQueue) -> None:
    queue.add(job(), [HistogramPoint(tag="w", time=0, edges=(0, 1), counts=(1,))])
    assert queue.backlog("mlflow") == 0


def test_a_full_queue_drops_values_until_values_were_sent(tmp_path: Path, forward: Forward) -> None:
    queue = TrackingQueue(tmp_path, ["mlflow"], max_bytes=200_000)
    text = [TextPoint(tag="note", time=0, value="x" * 60_000)]
    dropped = sum(queue.add(job(), text) for _ in range(5))
    assert dropped == 3
    assert (queue.backlog("mlflow"), queue.state("mlflow").failed) == (2, 3)

    forward(Tracker())
    queue.remove_sent()

    assert queue.add(job(), text) == 0
    queue.end("one", COMPLETED)
    forward(Tracker())
    queue.remove_sent()
    assert queue.state("mlflow").failed == 3, "the counter does not fall when the job is removed"
    assert number(queue, "PRAGMA page_count") < 10, "the space is returned to the volume"


def test_a_value_is_removed_when_all_receivers_have_passed_it(tmp_path: Path, forward: Forward) -> None:
    queue = TrackingQueue(tmp_path, ["mlflow", "wandb"])
    queue.add(job(), values(1))
    queue.end("one", COMPLETED)
    forward(Tracker("mlflow"))
    queue.remove_sent()
    assert queue.backlog("wandb") == 1

    tracker = forward(Tracker("wandb"))
    queue.remove_sent()

    assert tracker.accepted == {"run of one": [1]}
    assert number(queue) == 0


def test_a_job_that_is_removed_meanwhile_is_not_opened_again(queue: TrackingQueue, forward: Forward) -> None:
    class Removing(Tracker):
        def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
            queue.remove_sent()
            super().send(job, run, points)

    queue.add(job("sent", started=2.0), values(1))
    queue.end("sent", COMPLETED)
    forward(Tracker())
    queue.add(job("slow", started=1.0), values(2))
    queue.end("slow", COMPLETED)

    tracker = forward(Removing())

    assert tracker.opened == ["slow"]
    assert tracker.closed == {"slow": COMPLETED}


def test_a_process_killed_in_a_transaction_changes_nothing(queue: TrackingQueue, forward: Forward) -> None:
    queue.add(job(), values(1, 2))
    program = (
        "import sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "database.execute('BEGIN IMMEDIATE'); database.execute('DELETE FROM points'); "
        "print('in the transaction', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(queue.folder / DATABASE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)

    queue.add(job(), values(3))

    assert forward(Tracker()).accepted == {"run of one": [1, 2, 3]}


def test_only_the_owner_can_read_the_queue(queue: TrackingQueue) -> None:
    queue.add(job(), values(1))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in queue.folder.iterdir()}

    assert modes == {DATABASE: 0o600, f"{DATABASE}-wal": 0o600, f"{DATABASE}-shm": 0o600}


def test_the_queue_of_an_earlier_release_is_reported_and_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "4f1c").mkdir()
    (tmp_path / "4f1c" / "job.json").write_text("{}")

    with caplog.at_level(logging.WARNING):
        queue = TrackingQueue(tmp_path, ["mlflow"])

    assert queue.unfinished("mlflow") == []
    assert f"the queue of an earlier release in {tmp_path} (JOB/job.json) is not read" in caplog.text


def test_the_key_of_a_value_is_its_site_or_the_server_and_its_tag() -> None:
    (of_site,) = values(1)
    assert key_of(job(), of_site) == "site-1/loss"
    assert key_of(job(), of_site.model_copy(update={"site": ""})) == "flare-server/loss"
