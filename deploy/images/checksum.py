"""SHA-256 of files that are too large to read at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

CHUNK = 1 << 20


def read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of `file` in pieces of 1 MiB."""
    while chunk := file.read(CHUNK):
        yield chunk


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return sha256_of_stream(file)


def sha256_of_stream(file: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of `file`."""
    digest = hashlib.sha256()
    for chunk in read_chunks(file):
        digest.update(chunk)
    return digest.hexdigest()
