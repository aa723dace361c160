"""What a parent takes in from its jobs: documents of registered kinds, each checked before anybody sees it.

Who pushes may be broken or hostile: a job runs a stranger's code. In this order: is it a job of this
parent, is the kind known, is it small enough, is it slow enough, is it what the kind says. Whatever is not is
dropped, counted by reason, and answered so that the job knows what to do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from fl_app.telemetry.access import Access

MAX_DOCUMENT_BYTES = 1 << 20
DOCUMENTS_PER_SECOND, DOCUMENTS_AT_ONCE = 20.0, 100.0
"""Of one job: what it may push for ever, and what it may push in one go after a pause."""
BYTES_PER_SECOND, BYTES_AT_ONCE = 4.0 * 2**20, 32.0 * 2**20
BODY_SECONDS = 10.0
"""A body that takes longer to arrive is given up."""
JOBS_AT_ONCE = 256
"""Of which the rate is remembered; who pushed longest ago is forgotten."""

_log = logging.getLogger(__name__)


class Body(Protocol):
    """Of a request."""

    def read1(self, size: int = ..., /) -> bytes:
        """What is there of it, at most `size` bytes; nothing at its end."""
        ...


class Kind(Protocol):
    """A kind of document that a parent takes. It is asked from several threads at once."""

    name: str
    """The last part of the URL: /push/NAME."""

    @property
    def document(self) -> type[BaseModel]:
        """What a document must be; it should bound every list and text."""
        ...

    def accept(self, job_id: str, document: Any) -> int:
        """Take a document of a job; return how many of its parts had no room and were dropped."""
        ...


class Reason:
    """Why something was dropped: the values of `reason` in nvflare_telemetry_dropped_total."""

    TOKEN = "token"  # noqa: S105 - no secret
    KIND = "kind"
    SIZE = "size"
    RATE = "rate"
    MALFORMED = "malformed"
    ROOM = "room"
    QUEUE = "queue"


REASONS: Mapping[str, str] = {
    Reason.TOKEN: "it was not of a job of this parent",
    Reason.KIND: "it was of a kind that this parent does not take",
    Reason.SIZE: f"it was larger than {MAX_DOCUMENT_BYTES >> 20} MiB, or of unknown size",
    Reason.RATE: "its job pushed too much",
    Reason.MALFORMED: "it was not what its kind says",
    Reason.ROOM: "its job has too many series, or its labels are too long",
    Reason.QUEUE: "the job had no room to keep it until its parent answered",
}


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A document that is not taken.

    Args:
        status: the answer.
        reason: of REASONS.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class _Allowance:
    """What one job may still push: two buckets that fill with time."""

    documents: float
    bytes: float
    at: float

    def spend(self, size: int, now: float) -> bool:
        """Whether a document of `size` bytes is within it."""
        passed = max(0.0, now - self.at)
        self.at = now
        self.documents = min(DOCUMENTS_AT_ONCE, self.documents + passed * DOCUMENTS_PER_SECOND)
        self.bytes = min(BYTES_AT_ONCE, self.bytes + passed * BYTES_PER_SECOND)
        if self.documents < 1 or self.bytes < size:
            return False
        self.documents -= 1
        self.bytes -= size
        return True


class Intake:
    """Takes documents for those that registered their kind.

    Args:
        access: who may push.
        admits: whether a job may still push.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        access: Access,
        admits: Callable[[str], bool] = lambda job_id: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._access = access
        self._admits = admits
        self._clock = clock
        self._kinds: dict[str, Kind] = {}
        self._allowances: dict[str, _Allowance] = {}
        self._dropped = Counter(dict.fromkeys(REASONS, 0))
        self._lock = threading.Lock()

    def register(self, kind: Kind) -> None:
        """Take documents of a kind from now on."""
        self._kinds[kind.name] = kind

    @property
    def dropped(self) -> Mapping[str, int]:
        """How much was dropped, for each of REASONS."""
        with self._lock:
            return dict(self._dropped)

    def drop(self, reason: str, number: int = 1) -> None:
        """Count what was dropped."""
        with self._lock:
            self._dropped[reason] += number

    def receive(self, kind_name: str, headers: Message, body: Body) -> HTTPStatus:
        """Take one document, or say why not. Raises nothing but OSError, when the connection fails."""
        try:
            job_id = self._authenticate(headers.get("Authorization", ""))
            kind = self._kinds.get(kind_name)
            if kind is None:
                raise Refused(HTTPStatus.NOT_FOUND, Reason.KIND)
            size = _size(headers)
            self._limit(job_id, size)
            document = _parse(kind, _read(body, size, self._clock))
        except Refused as refused:
            self.drop(refused.reason)
            return refused.status
        return self._hand_on(kind, job_id, document)

    def _hand_on(self, kind: Kind, job_id: str, document: BaseModel) -> HTTPStatus:
        try:
            without_room = kind.accept(job_id, document)
        except Refused as refused:
            self.drop(refused.reason)
            return refused.status
        except Exception:
            _log.exception("A document of %s could not be taken", kind.name)
            return HTTPStatus.INTERNAL_SERVER_ERROR
        if without_room:
            self.drop(Reason.ROOM, without_room)
        return HTTPStatus.NO_CONTENT

    def _authenticate(self, authorization: str) -> str:
        job_id = self._access.job_of(authorization)
        if job_id is None or not self._admits(job_id):
            raise Refused(HTTPStatus.UNAUTHORIZED, Reason.TOKEN)
        return job_id

    def _limit(self, job_id: str, size: int) -> None:
        now = self._clock()
        with self._lock:
            allowance = self._allowances.pop(job_id, None) or _Allowance(
                DOCUMENTS_AT_ONCE, BYTES_AT_ONCE, now
            )
            self._allowances[job_id] = allowance  # the last is who pushed last
            if len(self._allowances) > JOBS_AT_ONCE:
                del self._allowances[next(iter(self._allowances))]
            if not allowance.spend(size, now):
                raise Refused(HTTPStatus.TOO_MANY_REQUESTS, Reason.RATE)


def _size(headers: Message) -> int:
    text = headers.get("Content-Length", "")
    if not (text.isascii() and text.isdecimal()):
        raise Refused(HTTPStatus.LENGTH_REQUIRED, Reason.SIZE)
    if len(text) > 10 or int(text) > MAX_DOCUMENT_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Reason.SIZE)
    return int(text)


def _read(body: Body, size: int, clock: Callable[[], float]) -> bytes:
    """Exactly `size` bytes, in the time that there is for a body."""
    deadline = clock() + BODY_SECONDS
    parts = bytearray()
    while len(parts) < size:
        if clock() > deadline:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, Reason.MALFORMED)
        part = body.read1(size - len(parts))
        if not part:
            raise Refused(HTTPStatus.BAD_REQUEST, Reason.MALFORMED)
        parts += part
    return bytes(parts)


def _parse(kind: Kind, body: bytes) -> BaseModel:
    try:
        return kind.document.model_validate_json(body)
    except (ValidationError, ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, Reason.MALFORMED) from error
