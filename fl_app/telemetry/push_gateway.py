"""Push gateway of a parent: authenticates, limits and validates the documents that its jobs push.

A job runs untrusted code and may be broken or hostile. The gateway checks, in this order: the token, the kind
of the document, its size, the rate, and the content. It drops and counts a document that fails a check; the
status of the response tells the job whether to retry.
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
from io import BufferedIOBase
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from fl_app.telemetry.access import PushTokens

MAX_DOCUMENT_BYTES = 1 << 20
DOCUMENTS_PER_SECOND, DOCUMENT_BURST = 20.0, 100.0
"""Sustained rate and burst of one job."""
BYTES_PER_SECOND, BYTE_BURST = 4.0 * 2**20, 32.0 * 2**20
BODY_TIMEOUT_SECONDS = 10.0
MAX_RATE_LIMITED_JOBS = 256
"""Jobs whose rate is in memory; the gateway forgets the job that pushed longest ago."""

_log = logging.getLogger(__name__)


class DocumentKind(Protocol):
    """A kind of document that a parent accepts. Methods are called from several threads at once."""

    name: str
    """Last part of the URL: /push/NAME."""

    @property
    def document(self) -> type[BaseModel]:
        """Return the model of a document; it should bound every list and text."""
        ...

    def accept(self, job_id: str, document: Any) -> int:
        """Store a document of a job; return how many parts of it, or of earlier ones, were lost.

        Raises:
            DocumentRefusedError: the document cannot be stored.
        """
        ...


class Reason:
    """Values of the label `reason` of nvflare_telemetry_dropped_total."""

    TOKEN = "token"  # noqa: S105 - no secret
    KIND = "kind"
    SIZE = "size"
    RATE = "rate"
    MALFORMED = "malformed"
    CAPACITY = "capacity"
    QUEUE = "queue"


REASONS: Mapping[str, str] = {
    Reason.TOKEN: "The token is not valid for a job of this parent.",
    Reason.KIND: "This parent does not accept documents of this kind.",
    Reason.SIZE: f"The document is larger than {MAX_DOCUMENT_BYTES >> 20} MiB, or its size is unknown.",
    Reason.RATE: "The job exceeded its rate limit.",
    Reason.MALFORMED: "The document does not match the schema of its kind.",
    Reason.CAPACITY: "Too many series, too long labels, a full disk, or a tracker that lost values.",
    Reason.QUEUE: "The queue in the job process was full while the parent did not answer.",
}


class DocumentRefusedError(Exception):
    """A document is refused.

    Args:
        status: status of the response.
        reason: one of REASONS.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class _TokenBuckets:
    """Rate limit of one job: documents and bytes that it may still push."""

    documents: float
    bytes: float
    at: float

    def spend(self, size: int, now: float) -> bool:
        """Return whether a document of `size` bytes is within the limit."""
        passed = max(0.0, now - self.at)
        self.at = now
        self.documents = min(DOCUMENT_BURST, self.documents + passed * DOCUMENTS_PER_SECOND)
        self.bytes = min(BYTE_BURST, self.bytes + passed * BYTES_PER_SECOND)
        if self.documents < 1 or self.bytes < size:
            return False
        self.documents -= 1
        self.bytes -= size
        return True


class PushGateway:
    """Receive documents and pass each to the registered kind.

    Args:
        tokens: tokens of the parent's jobs.
        may_push: returns whether a job may still push.
        clock: monotonic clock, in seconds.
    """

    def __init__(
        self,
        tokens: PushTokens,
        may_push: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._may_push = may_push
        self._clock = clock
        self._kinds: dict[str, DocumentKind] = {}
        self._buckets: dict[str, _TokenBuckets] = {}
        self._dropped = Counter(dict.fromkeys(REASONS, 0))
        self._lock = threading.Lock()

    def register(self, kind: DocumentKind) -> None:
        """Accept documents of a kind from now on."""
        self._kinds[kind.name] = kind

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return the number of dropped documents and values, by reason."""
        with self._lock:
            return dict(self._dropped)

    def drop(self, reason: str, number: int = 1) -> None:
        """Count dropped documents or values."""
        with self._lock:
            self._dropped[reason] += number

    def receive(self, kind_name: str, headers: Message, body: BufferedIOBase) -> HTTPStatus:
        """Receive one document; return the status of the response.

        Raises:
            OSError: the connection failed.
        """
        try:
            job_id = self._authenticate(headers.get("Authorization", ""))
            kind = self._kinds.get(kind_name)
            if kind is None:
                raise DocumentRefusedError(HTTPStatus.NOT_FOUND, Reason.KIND)
            size = _size(headers)
            self._limit(job_id, size)
            document = _parse(kind, _read(body, size, self._clock))
            return self._store(kind, job_id, document)
        except DocumentRefusedError as refused:
            self.drop(refused.reason)
            return refused.status

    def _store(self, kind: DocumentKind, job_id: str, document: BaseModel) -> HTTPStatus:
        try:
            dropped = kind.accept(job_id, document)
        except DocumentRefusedError:
            raise
        except Exception:
            _log.exception("Telemetry: a document of kind %s of job %s failed", kind.name, job_id)
            return HTTPStatus.INTERNAL_SERVER_ERROR
        if dropped:
            self.drop(Reason.CAPACITY, dropped)
            return HTTPStatus.ACCEPTED
        return HTTPStatus.NO_CONTENT

    def _authenticate(self, authorization: str) -> str:
        job_id = self._tokens.job_of(authorization)
        if job_id is None or not self._may_push(job_id):
            raise DocumentRefusedError(HTTPStatus.UNAUTHORIZED, Reason.TOKEN)
        return job_id

    def _limit(self, job_id: str, size: int) -> None:
        now = self._clock()
        with self._lock:
            buckets = self._buckets.pop(job_id, None) or _TokenBuckets(DOCUMENT_BURST, BYTE_BURST, now)
            self._buckets[job_id] = buckets  # the dictionary is ordered by the time of the last push
            if len(self._buckets) > MAX_RATE_LIMITED_JOBS:
                del self._buckets[next(iter(self._buckets))]
            if not buckets.spend(size, now):
                raise DocumentRefusedError(HTTPStatus.TOO_MANY_REQUESTS, Reason.RATE)


def _size(headers: Message) -> int:
    text = headers.get("Content-Length", "")
    if not (text.isascii() and text.isdecimal()):
        raise DocumentRefusedError(HTTPStatus.LENGTH_REQUIRED, Reason.SIZE)
    if len(text) > 10 or int(text) > MAX_DOCUMENT_BYTES:
        raise DocumentRefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Reason.SIZE)
    return int(text)


def _read(body: BufferedIOBase, size: int, clock: Callable[[], float]) -> bytes:
    deadline = clock() + BODY_TIMEOUT_SECONDS
    content = bytearray()
    while len(content) < size:
        if clock() > deadline:
            raise DocumentRefusedError(HTTPStatus.REQUEST_TIMEOUT, Reason.MALFORMED)
        part = body.read1(size - len(content))
        if not part:
            raise DocumentRefusedError(HTTPStatus.BAD_REQUEST, Reason.MALFORMED)
        content += part
    return bytes(content)


def _parse(kind: DocumentKind, body: bytes) -> BaseModel:
    try:
        return kind.document.model_validate_json(body)
    except (ValidationError, ValueError, RecursionError) as error:
        raise DocumentRefusedError(HTTPStatus.BAD_REQUEST, Reason.MALFORMED) from error
