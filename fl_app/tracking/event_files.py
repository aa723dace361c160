"""TensorBoard's event files: ROOT/JOB-ID/SITE/events.out.tfevents.*, readable while they are written.

tensorboard's EventFileWriter would keep a thread and an open file for each site of each job. This module
appends records with tensorboard's RecordWriter, and closes each file after each document.
"""

from __future__ import annotations

import base64
import io
import os
import socket
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any

from fl_app.tracking.points import AnyPoint, HistogramPoint, ImagePoint, Kind, ScalarPoint, folder_of

MAX_JOB_BYTES = 2 * 2**30
"""Size of the event files of one job; further values are dropped and counted."""
MAX_TAGS = 2000
"""Tags of one site in one job."""


class EventFiles:
    """Write event files. All methods are thread-safe.

    Args:
        root: folder of all jobs.
        server: name of the server, used as folder for the values that the server logged.
        max_job_bytes: maximum size of one job's files.
    """

    def __init__(self, root: Path, server: str, max_job_bytes: int = MAX_JOB_BYTES) -> None:
        self._root = root
        self._server = server
        self._max_job_bytes = max_job_bytes
        self._lock = Lock()
        self._tags: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """Tags of each site of each job."""
        self._bytes: dict[str, int] = {}
        self._file = _new_name()

    def write(self, job_id: str, points: Iterable[AnyPoint]) -> int:
        """Write points, visible to TensorBoard immediately; return how many were dropped because of a limit.

        Raises:
            OSError: the disk is full or fails.
        """
        dropped = 0
        records: defaultdict[str, list[bytes]] = defaultdict(list)
        with self._lock:
            if job_id not in self._bytes:
                files = (self._root / job_id).rglob("*")
                self._bytes[job_id] = sum(file.stat().st_size for file in files if file.is_file())
            for point in points:
                site = folder_of(point.site or self._server)
                if self._is_within_limits(job_id, site, point.tag):
                    records[site].append(_record(point))
                    self._bytes[job_id] += len(records[site][-1])
                else:
                    dropped += 1
            try:
                for site, content in records.items():
                    self._append(self._root / job_id / site, content)
            except OSError:
                self._bytes.pop(job_id, None)  # the next call measures the folder again
                self._file = _new_name()  # TensorBoard stops at a truncated record: use new files
                raise
        return dropped

    def end(self, job_id: str) -> None:
        """Forget the limits of a job. It may log further values."""
        with self._lock:
            self._tags.pop(job_id, None)
            self._bytes.pop(job_id, None)

    def _is_within_limits(self, job_id: str, site: str, tag: str) -> bool:
        tags = self._tags[job_id][site]
        if tag not in tags and len(tags) >= MAX_TAGS:
            return False
        tags.add(tag)
        return self._bytes[job_id] < self._max_job_bytes

    def _append(self, folder: Path, records: list[bytes]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / self._file).open("ab") as file:
            if not file.tell():
                records = [_first_record(), *records]
            file.write(b"".join(records))


def _new_name() -> str:
    return f"events.out.tfevents.{time.time():020.9f}.{socket.gethostname()}.{os.getpid()}"


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
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    RecordWriter(buffer).write(event)
    return buffer.getvalue()
