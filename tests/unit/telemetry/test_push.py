"""The pusher of a job process: order, retries, refusals and the timeout of a flush."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from deploy.ports import free_ports
from fl_app.telemetry import push
from fl_app.telemetry.access import push_environment
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.push import Outcome, Pusher
from tests.unit.telemetry.pushing import Notes
from tests.waiting import eventually


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


Start = Callable[[dict[str, str]], tuple[Pusher, Queue]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start pushers with short intervals, each with a queue."""
    monkeypatch.setattr(push, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(push, "MAX_INTERVAL_SECONDS", 0.1)
    started: list[Pusher] = []

    def start_one(environment: dict[str, str]) -> tuple[Pusher, Queue]:
        pusher, queue = Pusher(environment["FLARE_PUSH_URL"], environment["FLARE_PUSH_TOKEN"]), Queue()
        pusher.attach(queue)
        started.append(pusher)
        return pusher, queue

    yield start_one
    for pusher in started:
        pusher.close()


def test_documents_arrive_in_order_and_a_bad_one_does_not_block_the_next(notes: Notes, start: Start) -> None:
    pusher, queue = start(push_environment("job-1"))

    bad = {7: {"invalid": 1}, 11: {"text": "full"}}
    for number in range(20):
        queue.put(bad.get(number, {"text": str(number)}))

    assert pusher.flush(5)
    assert notes.accepted == [("job-1", str(number)) for number in range(20) if number not in bad]
    assert len(queue.documents) == 0
    settled = [outcome for outcome in queue.outcomes if outcome is not Outcome.ACCEPTED]
    assert settled == [Outcome.REFUSED, Outcome.INCOMPLETE]


def test_documents_are_sent_when_the_parent_answers_again(start: Start) -> None:
    port = free_ports(1)[0]
    early = Endpoint("127.0.0.1", port)
    pusher, queue = start(push_environment("job-1"))
    early.close()
    queue.put({"text": "first"})
    assert not pusher.flush(0.5)
    assert len(queue.documents) == 1

    late, notes = Endpoint("127.0.0.1", port), Notes()
    late.gateway = early.gateway  # the same tokens
    late.gateway.register(notes)

    eventually(lambda: notes.accepted == [("job-1", "first")])
    late.close()


def test_a_failure_after_the_flush_does_not_change_its_result(
    notes: Notes, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlowCondition(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            notified = super().wait(timeout)
            self.release()
            time.sleep(0.2)
            self.acquire()
            return notified

    class FailsAfterOneRound(Queue):
        rounds = 0

        def next(self) -> bytes | None:
            pusher._wake.set()
            self.rounds += 1
            if self.rounds > 1:
                raise RuntimeError("broken")
            return None

    monkeypatch.setattr(push, "INTERVAL_SECONDS", 60)
    pusher, _ = start(push_environment("job-1"))
    pusher._rounds = SlowCondition()
    pusher.attach(FailsAfterOneRound())

    assert pusher.flush(5)


def test_an_error_in_an_outbox_does_not_affect_others(notes: Notes, start: Start) -> None:
    class Broken(Queue):
        def next(self) -> bytes | None:
            raise RuntimeError("broken")

    pusher, queue = start(push_environment("job-1"))
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
