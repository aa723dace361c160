"""Read log lines: from a file, optionally while it is being written, or from a stream of chunks."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from deploy.runtimes.protocol import WHOLE_LOG, LogPart

POLL_SECONDS = 0.2
TAIL_BYTES = 16_384
_TIMESTAMP = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")
"""Local time at the beginning of a line of NVFlare."""


def last_lines(file: Path, start: int = 0) -> list[str]:
    """Return the lines in the last 16 KiB of `file` from `start` on; none if it does not exist.

    Args:
        start: offset in bytes.
    """
    try:
        with file.open("rb") as log:
            log.seek(max(start, log.seek(0, 2) - TAIL_BYTES))
            return log.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def read_lines(
    file: Path, is_written: Callable[[], bool] = lambda: False, part: LogPart = WHOLE_LOG
) -> Iterator[str]:
    """Yield the lines of `file` if it exists, and new ones until `is_written` returns False.

    A last line without a line break is yielded at the end.

    Args:
        part: the part of what is written by now. A line without a time has that of the line before.
    """
    return lines_of(_chunks(file, is_written, _start(file, part)))


def _start(file: Path, part: LogPart) -> int:
    """Return the offset of the first line in `part`."""
    if part == WHOLE_LOG or not file.is_file():
        return 0
    since = part.since and _local(part.since)
    starts: deque[int] = deque(maxlen=part.tail)
    position = 0
    with file.open("rb") as log:
        for line in log:
            if since and _TIMESTAMP.match(line) and line[: len(since)] >= since:
                since = None  # this line and all that follow
            if not since:
                starts.append(position)
            position += len(line)
    return starts[0] if starts else position


def _local(time: datetime) -> bytes:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S},{time.microsecond // 1000:03}".encode()


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a stream of chunks of any length."""
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        yield from (_text(line) for line in lines)
    if pending:
        yield _text(pending)


def _chunks(file: Path, is_written: Callable[[], bool], position: int) -> Iterator[bytes]:
    while True:
        continues = is_written()  # before reading, so that the last read sees everything
        chunk = _read_from(file, position)
        position += len(chunk)
        yield chunk
        if not continues:
            return
        if not chunk:
            time.sleep(POLL_SECONDS)


def _read_from(file: Path, position: int) -> bytes:
    try:
        with file.open("rb") as log:
            log.seek(position)
            return log.read()
    except FileNotFoundError:
        return b""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
