"""The job's side of pushing: nothing waits, nothing grows without bound, and what can be sent is sent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from deploy.runtimes.ports import free_ports
from fl_app.telemetry import push
from fl_app.telemetry.access import push_environment
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.push import Outcome, Pusher, Queue
from tests.unit.telemetry.pushing import Notes, begun_anew


@pytest.fixture(scope="module")
def shared_endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint("127.0.0.1", 0)
    yield endpoint
    endpoint.close()


@pytest.fixture
def endpoint(shared_endpoint: Endpoint) -> Endpoint:
    return begun_anew(shared_endpoint)


@pytest.fixture
def notes(endpoint: Endpoint) -> Notes:
    notes = Notes()
    endpoint.intake.register(notes)
    return notes


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], Pusher]]:
    """Starts pushers that look more often."""
    monkeypatch.setattr(push, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(push, "LONGEST_PAUSE_SECONDS", 0.1)
    started: list[Pusher] = []

    def start_one(environment: dict[str, str]) -> Pusher:
        started.append(Pusher(environment["FLARE_PUSH_URL"], environment["FLARE_PUSH_TOKEN"]))
        return started[-1]

    yield start_one
    for pusher in started:
        pusher.close()


def test_documents_arrive_in_their_order(notes: Notes, start: Callable[[dict[str, str]], Pusher]) -> None:
    pusher, queue = start(push_environment("job-1")), Queue("notes")
    pusher.attach(queue)

    for number in range(20):
        assert queue.put({"text": str(number)})

    assert pusher.flush(5)
    assert notes.taken == [("job-1", str(number)) for number in range(20)]
    assert len(queue) == 0


def test_what_is_refused_is_counted_and_holds_nothing_up(
    notes: Notes, start: Callable[[dict[str, str]], Pusher]
) -> None:
    pusher, queue = start(push_environment("job-1")), Queue("notes")
    pusher.attach(queue)

    queue.put({"rubbish": 1})
    queue.put({"text": "good"})

    assert pusher.flush(5)
    assert queue.dropped == 1
    assert notes.taken == [("job-1", "good")]


def test_what_waits_while_the_parent_is_silent_is_sent_later(
    start: Callable[[dict[str, str]], Pusher],
) -> None:
    port = free_ports(1)[0]
    queue, arrived = Queue("notes"), threading.Event()
    early = Endpoint("127.0.0.1", port)
    pusher = start(push_environment("job-1"))
    early.close()
    pusher.attach(queue)
    queue.put({"text": "first"})
    assert not pusher.flush(0.5)

    class Answering(Notes):
        def accept(self, job_id: str, document: object) -> int:
            arrived.set()
            return super().accept(job_id, document)

    late = Endpoint("127.0.0.1", port)
    late.intake = early.intake  # the same parent, back after a while
    late.intake.register(Answering())

    assert arrived.wait(5)
    late.close()


def test_flush_waits_no_longer_than_told(start: Callable[[dict[str, str]], Pusher]) -> None:
    with_nobody = {"FLARE_PUSH_URL": f"http://127.0.0.1:{free_ports(1)[0]}/push", "FLARE_PUSH_TOKEN": "x"}
    pusher, queue = start(with_nobody), Queue("notes")
    pusher.attach(queue)
    queue.put({"text": "lost"})

    assert pusher.flush(0.1) is False
    assert len(queue) == 1


def test_a_full_queue_drops_what_comes_and_counts_it() -> None:
    queue = Queue("notes", limit=100)

    taken = [queue.put({"text": "x" * 20}) for _ in range(5)]

    assert taken == [True, True, True, False, False]
    assert (queue.dropped, len(queue)) == (2, 3)
    queue.next()
    queue.settle(Outcome.TAKEN)
    assert queue.put({"text": "x" * 20})


def test_an_outbox_that_fails_harms_nobody(notes: Notes, start: Callable[[dict[str, str]], Pusher]) -> None:
    class Broken(Queue):
        def next(self) -> bytes | None:
            raise RuntimeError("broken")

    pusher, queue = start(push_environment("job-1")), Queue("notes")
    pusher.attach(queue)
    pusher.attach(Broken("notes"))
    queue.put({"text": "good"})

    assert not pusher.flush(2)
    assert notes.taken == [("job-1", "good")]


def test_what_a_job_starts_does_not_inherit_its_token() -> None:
    code = (
        "import os; from fl_app.telemetry.push import job_pusher; "
        "assert job_pusher() is job_pusher() is not None; assert 'FLARE_PUSH_TOKEN' not in os.environ"
    )
    environment = {**os.environ, "FLARE_PUSH_URL": "http://127.0.0.1:9/push", "FLARE_PUSH_TOKEN": "x"}

    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


def test_without_a_parent_there_is_nothing_to_push_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLARE_PUSH_URL", raising=False)

    assert push.job_pusher() is None
