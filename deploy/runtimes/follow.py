"""Read log lines: from a file, optionally while it is being written, or from a stream of chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

POLL_SECONDS = 0.2
TAIL_BYTES = 16_384


def last_lines(file: Path) -> list[str]:
    """Return the lines in the last 16 KiB of `file`; none if it does not exist."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - TAIL_BYTES))
            return log.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def read_lines(file: Path, is_written: Callable[[], bool] = lambda: False) -> Iterator[str]:
    """Yield the lines of `file` if it exists, and new ones until `is_written` returns False.

    A last line without a line break is yielded at the end.
    """
    return lines_of(_chunks(file, is_written))


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a stream of chunks of any length."""
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        yield from (_text(line) for line in lines)
    if pending:
        yield _text(pending)


def _chunks(file: Path, is_written: Callable[[], bool]) -> Iterator[bytes]:
    position = 0
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
