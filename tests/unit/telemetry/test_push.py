"""The pusher of a job process: order, retries, refusals and the timeout of a flush."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from deploy.ports import free_ports
from fl_app.telemetry import push
from fl_app.telemetry.access import push_environment
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.push import Outcome, Pusher
from tests.unit.telemetry.pushing import Notes


class Queue:
    """An outbox in memory."""

    kind = "notes"

    def __init__(self) -> None:
        self.documents: deque[bytes] = deque()
        self.outcomes: list[Outcome] = []

    def put(self, document: object) -> None:
        self.documents.append(json.dumps(document).encode())

    def next(self) -> bytes | None:
        return self.documents[0] if self.documents else None

    def settle(self, outcome: Outcome) -> None:
        if outcome is not Outcome.RETRY:
            self.documents.popleft()
        self.outcomes.append(outcome)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], Pusher]]:
    """Start pushers with short intervals."""
    monkeypatch.setattr(push, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(push, "MAX_INTERVAL_SECONDS", 0.1)
    started: list[Pusher] = []

    def start_one(environment: dict[str, str]) -> Pusher:
        started.append(Pusher(environment["FLARE_PUSH_URL"], environment["FLARE_PUSH_TOKEN"]))
        return started[-1]

    yield start_one
    for pusher in started:
        pusher.close()


def test_documents_arrive_in_order(notes: Notes, start: Callable[[dict[str, str]], Pusher]) -> None:
    pusher, queue = start(push_environment("job-1")), Queue()
    pusher.attach(queue)

    for number in range(20):
        queue.put({"text": str(number)})

    assert pusher.flush(5)
    assert notes.accepted == [("job-1", str(number)) for number in range(20)]
    assert len(queue.documents) == 0


def test_a_refused_or_incomplete_document_does_not_block_the_next(
    notes: Notes, start: Callable[[dict[str, str]], Pusher]
) -> None:
    pusher, queue = start(push_environment("job-1")), Queue()
    pusher.attach(queue)

    queue.put({"invalid": 1})
    queue.put({"text": "full"})
    queue.put({"text": "valid"})

    assert pusher.flush(5)
    assert queue.outcomes == [Outcome.REFUSED, Outcome.INCOMPLETE, Outcome.ACCEPTED]
    assert notes.accepted[-1] == ("job-1", "valid")


def test_documents_are_sent_when_the_parent_answers_again(start: Callable[[dict[str, str]], Pusher]) -> None:
    port = free_ports(1)[0]
    queue, arrived = Queue(), threading.Event()
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
    late.gateway = early.gateway  # the same tokens
    late.gateway.register(Answering())

    assert arrived.wait(5)
    late.close()


def test_flush_returns_after_its_timeout(start: Callable[[dict[str, str]], Pusher]) -> None:
    environment = {"FLARE_PUSH_URL": f"http://127.0.0.1:{free_ports(1)[0]}/push", "FLARE_PUSH_TOKEN": "x"}
    pusher, queue = start(environment), Queue()
    pusher.attach(queue)
    queue.put({"text": "lost"})

    assert pusher.flush(0.1) is False
    assert len(queue.documents) == 1


def test_an_error_in_an_outbox_does_not_affect_others(
    notes: Notes, start: Callable[[dict[str, str]], Pusher]
) -> None:
    class Broken(Queue):
        def next(self) -> bytes | None:
            raise RuntimeError("broken")

    pusher, queue = start(push_environment("job-1")), Queue()
    pusher.attach(queue)
    pusher.attach(Broken())
    queue.put({"text": "valid"})

    assert not pusher.flush(2)
    assert notes.accepted == [("job-1", "valid")]


def test_child_processes_of_a_job_do_not_inherit_its_token() -> None:
    code = (
        "import os; from fl_app.telemetry.push import job_pusher; "
        "assert job_pusher() is job_pusher() is not None; assert 'FLARE_PUSH_TOKEN' not in os.environ"
    )
    environment = {**os.environ, "FLARE_PUSH_URL": "http://127.0.0.1:9/push", "FLARE_PUSH_TOKEN": "x"}

    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


def test_without_telemetry_there_is_no_pusher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLARE_PUSH_URL", raising=False)

    assert push.job_pusher() is None
