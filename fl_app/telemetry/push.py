"""Push client of a job process: one thread sends documents to the parent, so that the job never waits.

Each kind of document comes from an `Outbox`.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import threading
from enum import Enum
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from fl_app.contract import ENV_PUSH_TOKEN, ENV_PUSH_URL

INTERVAL_SECONDS = 1.0
MAX_INTERVAL_SECONDS = 15.0
"""Upper bound of the interval, which doubles while the parent does not answer."""
TIMEOUT_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Outcome(Enum):
    """Outcome of sending a document."""

    ACCEPTED = "accepted"
    INCOMPLETE = "incomplete"
    """The parent accepted the document, and dropped a part of it or of an earlier one."""
    REFUSED = "refused"
    """The parent will never accept this document."""
    RETRY = "retry"
    """The parent did not answer, or is busy."""


class Outbox(Protocol):
    """Source of documents of one kind. Only the pusher's thread calls its methods."""

    kind: str

    def next(self) -> bytes | None:
        """Return the next document as JSON; None if there is none."""
        ...

    def settle(self, outcome: Outcome) -> None:
        """Handle the outcome of the document that `next` returned last."""
        ...


class Pusher:
    """Send the documents of its outboxes to the parent of this job, in a thread of its own.

    Args:
        url: URL of the parent; /KIND is appended.
        token: token of this job.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None
        self._outboxes: list[Outbox] = []
        self._wake = threading.Event()
        self._closing = False
        self._rounds = threading.Condition()
        self._started = self._finished = self._settled = 0
        self._interval = INTERVAL_SECONDS
        self._has_warned = False
        threading.Thread(target=self._run, name="push", daemon=True).start()

    def attach(self, outbox: Outbox) -> None:
        """Send the documents of `outbox` from now on."""
        self._outboxes = [*self._outboxes, outbox]

    def flush(self, seconds: float) -> bool:
        """Send all documents now, within `seconds`; return whether all were accepted or refused."""
        with self._rounds:
            target = self._started + 1  # a round that starts after this call
            self._wake.set()
            self._rounds.wait_for(lambda: self._finished >= target, seconds)
            return self._settled >= target

    def close(self) -> None:
        """Stop the thread; documents that were not sent are lost."""
        self._closing = True
        self._wake.set()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._interval)
            self._wake.clear()
            with self._rounds:
                self._started += 1
            try:
                settled = [
                    self._empty(outbox) for outbox in self._outboxes
                ]  # do not stop at the first failure
            except Exception as error:  # an error of telemetry must not affect the job
                settled = [False]
                self._warn_once(str(error))
            with self._rounds:
                self._finished = self._started
                if all(settled):
                    self._interval, self._settled = INTERVAL_SECONDS, self._started
                else:
                    self._interval = min(self._interval * 2, MAX_INTERVAL_SECONDS)
                self._rounds.notify_all()
        self._disconnect()

    def _empty(self, outbox: Outbox) -> bool:
        while not self._closing and (document := outbox.next()) is not None:
            outcome = self._send(outbox.kind, document)
            outbox.settle(outcome)
            if outcome is Outcome.RETRY:
                return False
        return True

    def _send(self, kind: str, document: bytes) -> Outcome:
        is_new = self._connection is None
        try:
            status = self._post(kind, document)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            if not is_new:  # the parent may have closed an idle connection, which is not an error
                return self._send(kind, document)
            self._warn_once(str(error) or type(error).__name__)
            return Outcome.RETRY
        if status == HTTPStatus.NO_CONTENT:
            return Outcome.ACCEPTED
        if status == HTTPStatus.ACCEPTED:
            return Outcome.INCOMPLETE
        self._warn_once(f"{kind}: the parent answers {status}")
        return Outcome.RETRY if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500 else Outcome.REFUSED

    def _post(self, kind: str, document: bytes) -> int:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        self._connection.request("POST", f"{self._path}/{kind}", document, self._headers)
        response = self._connection.getresponse()
        response.read()
        if response.will_close:
            self._disconnect()
        return response.status

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _warn_once(self, reason: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("Telemetry: a push to the parent failed: %s", reason)


_pusher: Pusher | None = None
_pusher_lock = threading.Lock()


def job_pusher() -> Pusher | None:
    """Return the pusher of this job process, started at the first call; None if telemetry is off.

    Removes the token from the environment, so that child processes of the job do not inherit it.
    """
    global _pusher  # noqa: PLW0603 - a job process has one parent
    with _pusher_lock:
        if _pusher is None:
            url, token = os.environ.pop(ENV_PUSH_URL, ""), os.environ.pop(ENV_PUSH_TOKEN, "")
            if url and token:
                _pusher = Pusher(url, token)
        return _pusher
