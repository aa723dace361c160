"""TensorBoard's event files: ROOT/JOB-ID/SITE/events.out.tfevents.*, readable while they are written.

tensorboard's EventFileWriter would start a thread for each file, a thousand in a federation of a thousand
sites. This module writes single records with tensorboard's RecordWriter and limits the number of open files.
"""

from __future__ import annotations

import base64
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from fl_app.tracking.points import AnyPoint, HistogramPoint, ImagePoint, Kind, ScalarPoint, folder_of

MAX_OPEN_FILES = 64
MAX_JOB_BYTES = 2 * 2**30
"""Size of the event files of one job; further values are dropped and counted."""
MAX_TAGS = 2000
"""Tags of one site in one job."""


class EventFiles:
    """Write event files. All methods are thread-safe.

    Args:
        root: folder of all jobs.
        server: name of the server, used as folder for the values that the server logged.
        max_open_files: maximum number of open files.
        max_job_bytes: maximum size of one job's files.
    """

    def __init__(
        self,
        root: Path,
        server: str,
        max_open_files: int = MAX_OPEN_FILES,
        max_job_bytes: int = MAX_JOB_BYTES,
    ) -> None:
        self._root = root
        self._server = server
        self._max_open_files = max_open_files
        self._max_job_bytes = max_job_bytes
        self._lock = Lock()
        self._open: OrderedDict[Path, BinaryIO] = OrderedDict()
        self._files: dict[tuple[str, str], Path] = {}
        self._tags: dict[tuple[str, str], set[str]] = {}
        self._bytes: dict[str, int] = {}
        self._number = 0

    def write(self, job_id: str, points: Iterable[AnyPoint]) -> int:
        """Write points, visible to TensorBoard immediately; return how many were dropped because of a limit.

        Raises:
            OSError: the disk is full or fails.
        """
        dropped = 0
        with self._lock:
            written = set()
            for point in points:
                site = folder_of(point.site or self._server)
                if self._is_within_limits(job_id, site, point.tag):
                    written.add(self._append(job_id, site, _record(point)))
                else:
                    dropped += 1
            for file in written:
                if file in self._open:
                    self._open[file].flush()
        return dropped

    def end(self, job_id: str) -> None:
        """Close the files of a job. Later values are written to new files."""
        with self._lock:
            for key in [key for key in self._files if key[0] == job_id]:
                self._forget(key)
                self._tags.pop(key, None)
            self._bytes.pop(job_id, None)

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for key in list(self._files):
                self._forget(key)

    def _is_within_limits(self, job_id: str, site: str, tag: str) -> bool:
        if job_id not in self._bytes:
            folder = self._root / job_id
            self._bytes[job_id] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        tags = self._tags.setdefault((job_id, site), set())
        if tag not in tags and len(tags) >= MAX_TAGS:
            return False
        tags.add(tag)
        return self._bytes[job_id] < self._max_job_bytes

    def _append(self, job_id: str, site: str, record: bytes) -> Path:
        key = (job_id, site)
        if key not in self._files:
            self._files[key] = self._new_file(job_id, site)
            record = _first_record() + record
        file = self._files[key]
        try:
            self._open_file(file).write(record)
        except OSError:
            self._forget(key)  # TensorBoard stops at a truncated record: use a new file
            raise
        self._bytes[job_id] += len(record)
        return file

    def _new_file(self, job_id: str, site: str) -> Path:
        folder = self._root / job_id / site
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number += 1
        name = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{self._number}"
        return folder / f"events.out.tfevents.{name}"

    def _open_file(self, file: Path) -> BinaryIO:
        if file in self._open:
            self._open.move_to_end(file)
            return self._open[file]
        while len(self._open) >= self._max_open_files:
            self._open.popitem(last=False)[1].close()
        self._open[file] = file.open("ab")
        return self._open[file]

    def _forget(self, key: tuple[str, str]) -> None:
        opened = self._open.pop(self._files.pop(key), None)
        if opened is not None:
            try:
                opened.close()
            except OSError:
                opened.raw.close()  # type: ignore[attr-defined]  # its buffer does not fit on the disk


def _record(point: AnyPoint) -> bytes:
    """Return a point as a record of an event file."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    event = Event(wall_time=point.time, step=point.step, summary=_summary(point, Summary))
    return _framed(event.SerializeToString())


def _summary(point: AnyPoint, summary: Any) -> Any:
    if isinstance(point, ScalarPoint):
        return summary(value=[summary.Value(tag=point.tag, simple_value=point.value)])
    if isinstance(point, ImagePoint):
        image = summary.Image(
            width=point.width,
            height=point.height,
            colorspace=point.channels,
            encoded_image_string=base64.b64decode(point.png),
        )
        return summary(value=[summary.Value(tag=point.tag, image=image)])
    if isinstance(point, HistogramPoint):
        return _histogram(point, summary)
    from tensorboard.plugins.text.summary_v2 import text_pb

    prefix = "" if point.kind is Kind.TEXT else f"{point.kind.value}s/"
    return text_pb(prefix + point.tag, point.value)


def _histogram(point: HistogramPoint, summary: Any) -> Any:
    from tensorboard.compat.proto.histogram_pb2 import HistogramProto

    counts = point.counts[: len(point.edges) - 1]
    centers = [(low + high) / 2 for low, high in zip(point.edges, point.edges[1:], strict=False)]
    weighted = list(zip(centers, counts, strict=False))
    histo = HistogramProto(
        min=point.edges[0],
        max=point.edges[-1],
        num=sum(counts),
        sum=sum(value * count for value, count in weighted),
        sum_squares=sum(value * value * count for value, count in weighted),
        # Each limit is the end of a bucket, so an empty bucket that ends at the lowest edge comes first.
        bucket_limit=point.edges[: len(counts) + 1],
        bucket=[0.0, *counts],
    )
    return summary(value=[summary.Value(tag=point.tag, histo=histo)])


def _first_record() -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    return _framed(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())


def _framed(event: bytes) -> bytes:
    """Return an event in the framing of tensorboard's RecordWriter."""
    from io import BytesIO

    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = BytesIO()
    RecordWriter(buffer).write(event)
    return buffer.getvalue()
