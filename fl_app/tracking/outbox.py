"""Outbox of the server's job process: logged values for its parent, many in one document."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from threading import Lock

from fl_app.telemetry.push import Outcome
from fl_app.tracking.points import DOCUMENT_KIND, MAX_POINTS, AnyPoint

MAX_DOCUMENT_BYTES = 768 * 1024
"""Size of one document; the parent accepts up to 1 MiB."""
MAX_QUEUE_BYTES = 64 * 2**20
"""Size of all queued values: about 500,000 scalars."""


class AnalyticsOutbox:
    """Queued points, as `fl_app.telemetry.push.Outbox`.

    Args:
        job: name of the job.
        limit: maximum size of the queued points in bytes; further points are dropped and counted.
    """

    kind = DOCUMENT_KIND

    def __init__(self, job: str, limit: int = MAX_QUEUE_BYTES) -> None:
        self._head = f'{{"job":{json.dumps(job)},"points":['.encode()
        self._limit = limit
        self._points: deque[bytes] = deque()
        self._bytes = 0
        self._in_flight = 0
        self._is_last = False
        self._lock = Lock()
        self.is_incomplete = False
        """Whether the parent, or a tracker, lost points that were sent."""
        self.dropped = 0
        """Points that were dropped because the queue was full, or that the parent refused."""

    def __len__(self) -> int:
        """Return the number of queued points."""
        return len(self._points)

    def put(self, points: Iterable[AnyPoint]) -> None:
        """Add points; never blocks."""
        for point in points:
            encoded = point.model_dump_json().encode()
            with self._lock:
                if self._bytes + len(encoded) > self._limit:
                    self.dropped += 1
                    continue
                self._bytes += len(encoded)
                self._points.append(encoded)

    def end(self) -> None:
        """Send another document, even without points: its outcome says whether points were lost."""
        self._is_last = True

    def next(self) -> bytes | None:
        """Return the oldest points as one document."""
        with self._lock:
            size = len(self._head)
            batch: list[bytes] = []
            for point in self._points:
                size += len(point) + 1
                if (batch and size > MAX_DOCUMENT_BYTES) or len(batch) >= MAX_POINTS:
                    break
                batch.append(point)
            self._in_flight = len(batch)
        return self._head + b",".join(batch) + b"]}" if batch or self._is_last else None

    def settle(self, outcome: Outcome) -> None:
        """Remove the points of the last document, unless it is to be retried."""
        if outcome is Outcome.RETRY:
            return
        with self._lock:
            for _ in range(self._in_flight):
                self._bytes -= len(self._points.popleft())
            self._is_last &= bool(self._points)
            self.is_incomplete |= outcome is Outcome.INCOMPLETE
            if outcome is Outcome.REFUSED:
                self.dropped += self._in_flight
