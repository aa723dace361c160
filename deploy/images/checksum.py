"""SHA-256 of what is too large to be read at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

CHUNK = 1 << 20


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


def chunks_of(file: Readable) -> Iterator[bytes]:
    """The content of `file` from where it stands, piece by piece."""
    while chunk := file.read(CHUNK):
        yield chunk


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return sha256_of_stream(file)


def sha256_of_stream(file: Readable) -> str:
    """The SHA-256 of what is left of `file`."""
    digest = hashlib.sha256()
    for chunk in chunks_of(file):
        digest.update(chunk)
    return digest.hexdigest()
