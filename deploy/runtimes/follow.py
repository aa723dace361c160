"""The lines of a log: of a file, once or for as long as its writer lives, or of what comes in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

POLL_SECONDS = 0.2


def read_lines(file: Path) -> Iterator[str]:
    """Its lines now; none if there is no such file."""
    return follow_lines(file, lambda: False)


def follow_lines(file: Path, is_written: Callable[[], bool]) -> Iterator[str]:
    """Its lines, and those that are added while `is_written` says that somebody writes.

    A last line without an end is given when nobody writes any more.
    """
    pending = b""
    position = 0
    while True:
        goes_on = is_written()  # asked before reading: what was written until then is read
        added = _from(file, position)
        position += len(added)
        *lines, pending = (pending + added).split(b"\n")
        yield from (_text(line) for line in lines)
        if not goes_on:
            break
        if not added:
            time.sleep(POLL_SECONDS)
    if pending:
        yield _text(pending)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines in what comes in pieces of any length."""
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        yield from (_text(line) for line in lines)
    if pending:
        yield _text(pending)


def _from(file: Path, position: int) -> bytes:
    try:
        with file.open("rb") as log:
            log.seek(position)
            return log.read()
    except FileNotFoundError:
        return b""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
