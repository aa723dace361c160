"""The queue on disk and who sends it: nothing is lost, whoever is away, and what is refused is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tenacity import wait_none

from fl_app.tracking.forward.forwarding import Forwarding
from fl_app.tracking.forward.receiver import NotTaken, Unreachable, key_of
from fl_app.tracking.points import AnyPoint, Histogram, Scalar
from fl_app.tracking.queue import QueuedJob, TrackingQueue, queued_jobs, sent_of, totals_of

COMPLETED = "FINISHED:COMPLETED"


@dataclass
class Tracker:
    """A tracker in memory that can be away, and that refuses what is negative."""

    name: str = "mlflow"
    batch: int = 4
    away: int = 0
    """How often it does not answer yet."""
    taken: dict[str, list[float]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise Unreachable("connection refused")

    def open(self, job: QueuedJob, run: str) -> str:
        self._answer()
        if not run:
            self.opened.append(job.id)
        return f"run of {job.id}"

    def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        self._answer()
        values = [point.value for point in points if isinstance(point, Scalar)]
        if any(value < 0 for value in values):
            raise NotTaken("negative")
        self.taken.setdefault(run, []).extend(values)

    def end(self, job: QueuedJob, run: str) -> None:
        self._answer()
        self.ended[job.id] = job.status


def job(job_id: str = "one", started: float = 1.0) -> QueuedJob:
    return QueuedJob(
        id=job_id, name=f"job {job_id}", project="clinics", server="flare-server", started=started
    )


def values(*numbers: float) -> list[Scalar]:
    return [Scalar(site="site-1", tag="loss", step=0, time=0, value=number) for number in numbers]


@pytest.fixture
def queue(tmp_path: Path) -> TrackingQueue:
    return TrackingQueue(tmp_path, ["mlflow"])


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def forward(tmp_path: Path, said: list[str]) -> Callable[[Tracker], Tracker]:
    """Sends all there is, in what would be a process of its own."""

    def run(tracker: Tracker) -> Tracker:
        forwarding = Forwarding(tracker, tmp_path, wait_none(), said.append)
        while forwarding.look()[1]:
            pass
        return tracker

    return run


def test_everything_is_sent_in_order_and_the_run_is_closed_with_the_jobs_status(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker]
) -> None:
    queue.add(job(), values(*range(10)))
    queue.end("one", COMPLETED)
    assert queue.backlog("mlflow") == 10

    tracker = forward(Tracker())

    assert tracker.taken == {"run of one": list(range(10))}
    assert tracker.ended == {"one": COMPLETED}
    assert (queue.backlog("mlflow"), queue.has_work("mlflow")) == (0, False)
    assert totals_of(queue.root, "mlflow").sent == 10


def test_a_run_stays_open_while_its_job_goes_on(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker]
) -> None:
    queue.add(job(), values(1))
    tracker = forward(Tracker())
    assert not tracker.ended

    queue.add(job(), values(2))
    queue.end("one", "FINISHED:ABORTED")
    forward(tracker)

    assert tracker.taken == {"run of one": [1, 2]}
    assert tracker.ended == {"one": "FINISHED:ABORTED"}


def test_a_tracker_that_was_away_gets_everything_and_a_person_hears_of_it_twice(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker], said: list[str]
) -> None:
    queue.add(job(), values(1, 2, 3))
    queue.end("one", COMPLETED)

    tracker = forward(Tracker(away=7))

    assert tracker.taken == {"run of one": [1, 2, 3]}
    assert len(said) == 2
    assert "does not take anything now" in said[0]
    assert "connection refused" in said[0]
    assert str(queue.root) in said[0]
    assert "takes what is logged again" in said[1]
    assert totals_of(queue.root, "mlflow").trouble == ""


def test_another_process_goes_on_where_the_first_one_ended(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker]
) -> None:
    queue.add(job(), values(1, 2))
    forward(Tracker())
    queue = TrackingQueue(queue.root, ["mlflow"])  # and a parent that started anew
    queue.add(job(), values(3))

    second = forward(Tracker())

    assert second.opened == []
    assert second.taken == {"run of one": [3]}
    assert queue.backlog("mlflow") == 0


def test_one_value_that_is_refused_takes_no_other_with_it(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker], said: list[str]
) -> None:
    queue.add(job(), values(1, -1, 2, 3, 4, -2))

    tracker = forward(Tracker())

    assert tracker.taken == {"run of one": [1, 2, 3, 4]}
    assert (totals_of(queue.root, "mlflow").sent, totals_of(queue.root, "mlflow").failed) == (4, 2)
    assert len(said) == 2
    assert "refuses 1 values of job job one (one): negative" in said[0]


def test_a_line_that_a_full_disk_cut_is_counted_and_passed_over(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker]
) -> None:
    queue.add(job(), values(1))
    with (queue.root / "one" / "points.jsonl").open("ab") as file:
        file.write(b'{"kind": "sca\n')
    queue.add(job(), values(2))

    tracker = forward(Tracker())

    assert tracker.taken == {"run of one": [1, 2]}
    assert totals_of(queue.root, "mlflow").failed == 1


def test_a_line_that_is_still_being_written_waits(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker]
) -> None:
    queue.add(job(), values(1))
    line = values(2)[0].model_dump_json().encode()
    file = queue.root / "one" / "points.jsonl"
    with file.open("ab") as half:
        half.write(line[:20])
    tracker = forward(Tracker())
    assert tracker.taken == {"run of one": [1]}

    with file.open("ab") as rest:
        rest.write(line[20:] + b"\n")
    forward(tracker)
    assert tracker.taken == {"run of one": [1, 2]}


def test_pictures_and_histograms_stay_in_tensorboard(queue: TrackingQueue) -> None:
    queue.add(job(), [Histogram(tag="w", time=0, edges=(0, 1), counts=(1,))])
    assert queue.backlog("mlflow") == 0


def test_a_full_queue_refuses_and_remembers_how_much(tmp_path: Path) -> None:
    queue = TrackingQueue(tmp_path, ["mlflow"], max_bytes=250)
    assert queue.add(job(), values(1)) == 0
    assert queue.add(job(), values(2, 3, 4)) == 3
    assert queue.backlog("mlflow") == 1
    assert [known.refused for known in queued_jobs(tmp_path)] == [3]


def test_a_jobs_folder_goes_when_every_receiver_is_done(
    tmp_path: Path, forward: Callable[[Tracker], Tracker]
) -> None:
    queue = TrackingQueue(tmp_path, ["mlflow", "wandb"])
    queue.add(job(), values(1))
    queue.end("one", COMPLETED)
    forward(Tracker("mlflow"))
    queue.sweep()
    assert (tmp_path / "one").exists()
    assert queue.backlog("wandb") == 1

    forward(Tracker("wandb"))
    queue.sweep()
    assert not (tmp_path / "one").exists()
    assert sent_of(tmp_path, "one", "wandb").points == 0


def test_a_job_that_is_swept_while_another_ones_values_are_sent_is_not_begun_again(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker]
) -> None:
    """Its run would be opened a second time and closed empty, and the process that sends would end there."""

    class Slow(Tracker):
        def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
            queue.sweep()
            super().send(job, run, points)

    queue.add(job("sent", started=2.0), values(1))
    queue.end("sent", COMPLETED)
    forward(Tracker())
    queue.add(job("slow", started=1.0), values(2))
    queue.end("slow", COMPLETED)

    tracker = forward(Slow())

    assert tracker.opened == ["slow"]
    assert tracker.ended == {"slow": COMPLETED}
    assert [one.id for one in queued_jobs(queue.root)] == ["slow"]


def test_a_job_is_swept_whole_or_not_at_all(
    queue: TrackingQueue, forward: Callable[[Tracker], Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed parent must not leave half of one: without its Sent all of it would be sent again."""
    queue.add(job(), values(1))
    queue.end("one", COMPLETED)
    forward(Tracker())

    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda *arguments, **further: None)
        queue.sweep()
    assert queued_jobs(queue.root) == []
    assert not (queue.root / "one").exists()

    TrackingQueue(queue.root, ["mlflow"]).sweep()
    assert list(queue.root.iterdir()) == [queue.root / "mlflow.json"]


def test_a_value_is_named_by_its_site_and_the_servers_own_by_the_servers_name() -> None:
    (of_site,) = values(1)
    assert key_of(job(), of_site) == "site-1/loss"
    assert key_of(job(), of_site.model_copy(update={"site": ""})) == "flare-server/loss"
