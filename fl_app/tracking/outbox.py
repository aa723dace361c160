"""Points on their way from the server's job process to its parent: many in one document, none twice."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from threading import Lock

from fl_app.telemetry.push import Outcome
from fl_app.tracking.document import KIND, MAX_POINTS
from fl_app.tracking.points import AnyPoint

DOCUMENT_BYTES = 768 * 1024
"""Of one document; the parent takes up to 1 MiB."""
QUEUE_BYTES = 64 * 2**20
"""Of what waits while the parent does not answer: some 500,000 scalars."""


class AnalyticsOutbox:
    """The points that wait, as `fl_app.telemetry.push.Outbox`.

    Args:
        job: the job's name.
        limit: of the bytes that wait; what comes when it is full is dropped and counted.
    """

    kind = KIND

    def __init__(self, job: str, limit: int = QUEUE_BYTES) -> None:
        self._head = f'{{"job":{json.dumps(job)},"points":['.encode()
        self._limit = limit
        self._points: deque[bytes] = deque()
        self._bytes = 0
        self._on_the_way = 0
        self._lock = Lock()
        self.dropped = 0
        """Points that had no room, or that the parent refused."""

    def __len__(self) -> int:
        """How many points wait."""
        return len(self._points)

    def put(self, points: Iterable[AnyPoint]) -> None:
        """Add points; never waits."""
        for point in points:
            encoded = point.model_dump_json().encode()
            with self._lock:
                if self._bytes + len(encoded) > self._limit:
                    self.dropped += 1
                    continue
                self._bytes += len(encoded)
                self._points.append(encoded)

    def next(self) -> bytes | None:
        """The oldest points as one document; the same again until it is settled."""
        with self._lock:
            size = len(self._head)
            taken: list[bytes] = []
            for point in self._points:
                size += len(point) + 1
                if (taken and size > DOCUMENT_BYTES) or len(taken) >= MAX_POINTS:
                    break
                taken.append(point)
            self._on_the_way = len(taken)
        return self._head + b",".join(taken) + b"]}" if taken else None

    def settle(self, outcome: Outcome) -> None:
        """Let go of what `next` gave last, unless it is to be sent again."""
        if outcome is Outcome.LATER:
            return
        with self._lock:
            for _ in range(self._on_the_way):
                self._bytes -= len(self._points.popleft())
            if outcome is Outcome.REFUSED:
                self.dropped += self._on_the_way
