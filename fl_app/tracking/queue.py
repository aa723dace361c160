"""The queue on disk between a job and MLflow or Weights & Biases: nothing is lost while their server is away.

ROOT/JOB-ID/job.json       what the job is, and how it ended once it has; written by the parent
ROOT/JOB-ID/points.jsonl   every point, one a line; appended to by the parent
ROOT/JOB-ID/RECEIVER.json  how far a receiver has come; written by its own process alone
ROOT/RECEIVER.json         what a receiver has sent and failed to send in all; the same
ROOT/.swept/JOB-ID         of a job that every receiver is done with, while it is removed
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from fl_app.tracking.points import AnyPoint, Histogram, Image, folder_of, read_line

MAX_BYTES = 2**30
"""Of all points that wait; what comes after is not queued, and counted as failed."""
POINTS = "points.jsonl"
JOB = "job.json"
SWEPT = ".swept"

_Document = TypeVar("_Document", bound=BaseModel)


class QueuedJob(BaseModel, frozen=True):
    """A job whose points are queued."""

    id: str
    name: str
    project: str
    server: str
    """The server's name: whose the points without a site are."""
    started: float
    status: str = ""
    """NVFlare's status once it has ended."""
    refused: int = 0
    """Points for which the queue had no room."""


class Sent(BaseModel, frozen=True):
    """How far a receiver has come with one job."""

    offset: int = 0
    """Bytes of points.jsonl."""
    points: int = 0
    """Lines of it, whatever became of them."""
    run: str = ""
    """What the receiver calls the job's run."""
    done: bool = False


class Totals(BaseModel, frozen=True):
    """What a receiver has come to, over all jobs."""

    sent: int = 0
    failed: int = 0
    trouble: str = ""
    """Why it cannot send now."""


class TrackingQueue:
    """The parent's side of the queue.

    Args:
        root: its folder.
        receivers: who reads it; a job's folder goes when all of them are done with it.
        max_bytes: how much may wait.
    """

    def __init__(self, root: Path, receivers: Iterable[str], max_bytes: int = MAX_BYTES) -> None:
        self.root = root
        self.receivers = tuple(receivers)
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._lines: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        for job in queued_jobs(root):
            points = root / job.id / POINTS
            self._bytes[job.id] = points.stat().st_size if points.exists() else 0
            self._lines[job.id] = _count_lines(points)

    def add(self, job: QueuedJob, points: Iterable[AnyPoint]) -> int:
        """Queue a job's points, and say how many had no room.

        Raises:
            OSError: the disk is full, or cannot be written to.
        """
        lines = [point.model_dump_json().encode() + b"\n" for point in points if is_tracked(point)]
        size = sum(map(len, lines))
        with self._lock:
            folder = self.root / job.id
            if job.id not in self._lines:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write(folder / JOB, job)
                self._lines[job.id] = self._bytes[job.id] = 0
            if sum(self._bytes.values()) + size > self._max_bytes:
                known = read(folder / JOB, QueuedJob) or job
                write(folder / JOB, known.model_copy(update={"refused": known.refused + len(lines)}))
                return len(lines)
            with (folder / POINTS).open("ab") as file:
                file.write(b"".join(lines))
            self._lines[job.id] += len(lines)
            self._bytes[job.id] += size
        return 0

    def end(self, job_id: str, status: str) -> None:
        """Say that a job has ended, so that its runs are closed once all is sent."""
        with self._lock:
            file = self.root / job_id / JOB
            job = read(file, QueuedJob)
            if job is not None and not job.status:
                write(file, job.model_copy(update={"status": status}))

    def unended(self) -> list[str]:
        """The ids of the jobs that have not ended, as far as the queue knows."""
        return [job.id for job in queued_jobs(self.root) if not job.status]

    def backlog(self, receiver: str) -> int:
        """How many points a receiver has still to send."""
        return sum(
            max(0, lines - sent_of(self.root, job_id, receiver).points) for job_id, lines in self._counted()
        )

    def has_work(self, receiver: str) -> bool:
        """Whether a receiver has something to send, or a run to close."""
        return any(not sent_of(self.root, job_id, receiver).done for job_id, _ in self._counted())

    def sweep(self) -> None:
        """Remove the jobs that every receiver is done with.

        Each goes at once: half of it would be a job of which nothing has been sent.
        """
        swept = self.root / SWEPT
        for job_id, _ in self._counted():
            if all(sent_of(self.root, job_id, receiver).done for receiver in self.receivers):
                with self._lock:
                    swept.mkdir(mode=0o700, exist_ok=True)
                    (self.root / job_id).rename(swept / job_id)
                    self._lines.pop(job_id, None)
                    self._bytes.pop(job_id, None)
        shutil.rmtree(swept, ignore_errors=True)

    def _counted(self) -> list[tuple[str, int]]:
        with self._lock:
            return list(self._lines.items())


def is_tracked(point: AnyPoint) -> bool:
    """Whether it goes to MLflow and W&B, too: pictures and histograms stay in TensorBoard."""
    return not isinstance(point, Image | Histogram)


def queued_jobs(root: Path) -> list[QueuedJob]:
    """The jobs in the queue, the oldest first."""
    found = [read(file, QueuedJob) for file in root.glob(f"*/{JOB}")]
    return sorted((job for job in found if job is not None), key=lambda job: job.started)


def is_queued(root: Path, job_id: str) -> bool:
    """Whether a job is in the queue now."""
    return (root / folder_of(job_id) / JOB).exists()


def sent_of(root: Path, job_id: str, receiver: str) -> Sent:
    """How far a receiver has come with a job."""
    return read(root / folder_of(job_id) / f"{receiver}.json", Sent) or Sent()


def totals_of(root: Path, receiver: str) -> Totals:
    """What a receiver has come to."""
    return read(root / f"{receiver}.json", Totals) or Totals()


def read_batch(root: Path, job_id: str, offset: int, most: int) -> tuple[list[AnyPoint | None], int]:
    """Up to `most` points from `offset` on, None for a line that holds none, and the offset after them."""
    points: list[AnyPoint | None] = []
    file = root / job_id / POINTS
    if not file.exists():
        return points, offset
    with file.open("rb") as lines:
        lines.seek(offset)
        for line in _whole_lines(lines):
            points.append(read_line(line))
            offset += len(line)
            if len(points) >= most:
                break
    return points, offset


def _whole_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Without one that is still being written."""
    for line in lines:
        if not line.endswith(b"\n"):
            return
        yield line


def _count_lines(file: Path) -> int:
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def read(file: Path, kind: type[_Document]) -> _Document | None:
    """A document of the queue; None if there is none."""
    try:
        return kind.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def write(file: Path, document: BaseModel) -> None:
    """Write beside and rename."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(json.dumps(document.model_dump(mode="json")) + "\n", encoding="utf-8")
    beside.replace(file)
