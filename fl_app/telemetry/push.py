"""The job's side of telemetry: documents for its parent, sent by one thread, so that no job waits for them.

Each kind of document comes from an `Outbox`: a `Queue` (every document matters, up to a bound), or one that
makes its document when asked (only the latest values matter).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import threading
import time
from collections import deque
from enum import Enum
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from fl_app.contract import ENV_PUSH_TOKEN, ENV_PUSH_URL
from fl_app.telemetry.access import authorization

INTERVAL_SECONDS = 1.0
"""Between two looks for something to send."""
LONGEST_PAUSE_SECONDS = 15.0
"""While the parent does not answer, pauses double up to this."""
TIMEOUT_SECONDS = 5.0
QUEUE_BYTES = 16 * 2**20

_log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a document."""

    TAKEN = "taken"
    REFUSED = "refused"
    """For good: the parent does not want it."""
    LATER = "later"
    """The parent did not answer, or has too much to do: to be sent again."""


class Outbox(Protocol):
    """Where documents of one kind come from. All methods are called by the pusher's thread."""

    kind: str

    def next(self) -> bytes | None:
        """The next document as JSON; None if there is nothing to send."""
        ...

    def settle(self, outcome: Outcome) -> None:
        """What became of the document that `next` gave last."""
        ...


class Queue:
    """Documents in the order in which they were put; the oldest is sent again until it is taken or refused.

    Args:
        kind: of all of them.
        limit: of the bytes that wait; what comes when it is full is dropped and counted.
    """

    def __init__(self, kind: str, limit: int = QUEUE_BYTES) -> None:
        self.kind = kind
        self.dropped = 0
        """Documents that had no room, or that the parent refused."""
        self._limit = limit
        self._bytes = 0
        self._documents: deque[bytes] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many documents wait."""
        return len(self._documents)

    def put(self, document: object) -> bool:
        """Add a document, given as what json.dumps takes; False if there was no room. Never waits."""
        encoded = json.dumps(document, separators=(",", ":")).encode()
        with self._lock:
            if self._bytes + len(encoded) > self._limit:
                self.dropped += 1
                return False
            self._bytes += len(encoded)
            self._documents.append(encoded)
            return True

    def next(self) -> bytes | None:
        """The oldest."""
        with self._lock:
            return self._documents[0] if self._documents else None

    def settle(self, outcome: Outcome) -> None:
        """Let go of the oldest, unless it is to be sent again."""
        if outcome is Outcome.LATER:
            return
        with self._lock:
            self._bytes -= len(self._documents.popleft())
            self.dropped += outcome is Outcome.REFUSED


class Pusher:
    """Sends what its outboxes have, in a thread of its own, to the parent of this job.

    Args:
        url: the parent's; /KIND is added.
        token: this job's.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path
        self._headers = {"Authorization": authorization(token), "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None
        self._outboxes: list[Outbox] = []
        self._wake = threading.Event()
        self._closing = False
        self._rounds = threading.Condition()
        self._begun = self._done = 0
        self._pause = INTERVAL_SECONDS
        self._complained = False
        threading.Thread(target=self._run, name="push", daemon=True).start()

    def attach(self, outbox: Outbox) -> None:
        """Send what `outbox` has from now on."""
        self._outboxes = [*self._outboxes, outbox]

    def flush(self, seconds: float) -> bool:
        """Send everything now; wait for it no longer than `seconds`. Whether all was settled."""
        deadline = time.monotonic() + seconds
        with self._rounds:
            target = self._begun + 1  # a look that begins after this call
            self._wake.set()
            return self._rounds.wait_for(lambda: self._done >= target, deadline - time.monotonic()) and (
                self._pause == INTERVAL_SECONDS
            )

    def close(self) -> None:
        """End the thread; what has not been sent is lost."""
        self._closing = True
        self._wake.set()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._pause)
            self._wake.clear()
            with self._rounds:
                self._begun += 1
            try:
                all_settled = self._send_all()
            except Exception as error:  # a job is worth more than its telemetry
                all_settled = False
                self._complain(str(error))
            self._pause = INTERVAL_SECONDS if all_settled else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            with self._rounds:
                self._done = self._begun
                self._rounds.notify_all()
        self._disconnect()

    def _send_all(self) -> bool:
        settled = [self._empty(outbox) for outbox in self._outboxes]  # one that is refused stops no other
        return all(settled)

    def _empty(self, outbox: Outbox) -> bool:
        """Send what an outbox has; whether all of it was settled."""
        while not self._closing and (document := outbox.next()) is not None:
            outcome = self._send(outbox.kind, document)
            outbox.settle(outcome)
            if outcome is Outcome.LATER:
                return False
        return True

    def _send(self, kind: str, document: bytes) -> Outcome:
        fresh = self._connection is None
        try:
            status = self._post(kind, document)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            if not fresh:  # the parent may have closed an idle connection: that is no failure
                return self._send(kind, document)
            self._complain(str(error) or type(error).__name__)
            return Outcome.LATER
        if status == HTTPStatus.NO_CONTENT:
            return Outcome.TAKEN
        self._complain(f"{kind}: the parent answers {status}")
        return Outcome.LATER if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500 else Outcome.REFUSED

    def _post(self, kind: str, document: bytes) -> int:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        self._connection.request("POST", f"{self._path}/{kind}", document, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.will_close:
            self._disconnect()
        return answer.status

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _complain(self, reason: str) -> None:
        """Once a job: telemetry is not worth more lines."""
        if not self._complained:
            self._complained = True
            _log.warning("Telemetry does not reach the parent: %s", reason)


_pusher: Pusher | None = None
_pusher_lock = threading.Lock()


def job_pusher() -> Pusher | None:
    """This job process's way to its parent, begun with the first call; None where there is none.

    The token leaves the environment, so that what the job starts does not inherit it.
    """
    global _pusher  # noqa: PLW0603 - a job process has one parent
    with _pusher_lock:
        if _pusher is None:
            url, token = os.environ.pop(ENV_PUSH_URL, ""), os.environ.pop(ENV_PUSH_TOKEN, "")
            if url and token:
                _pusher = Pusher(url, token)
        return _pusher
