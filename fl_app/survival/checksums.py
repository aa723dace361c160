"""Checksums of the files of a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fl_app.survival.resumable import UnsupportedStateError

_CHUNK = 8 * 2**20


def sealed(manifest: Mapping[str, Any]) -> bytes:
    """Return a manifest as JSON, after a line with its checksum.

    Raises:
        UnsupportedStateError: it has values that are not JSON.
    """
    try:
        content = json.dumps(manifest).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedStateError(str(error)) from error
    return hashlib.blake2b(content).hexdigest().encode() + b"\n" + content


def unsealed(content_and_checksum: bytes) -> dict[str, Any]:
    """Return the manifest that `sealed` made.

    Raises:
        ValueError: it is damaged.
    """
    checksum, _, content = content_and_checksum.partition(b"\n")
    if hashlib.blake2b(content).hexdigest().encode() != checksum:
        raise ValueError("the checksum of its manifest differs")
    return dict(json.loads(content))


def checksum_of(file: Path) -> str:
    """Return the checksum of a file, which is the name of its copy."""
    checksum = hashlib.blake2b(digest_size=32)
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            checksum.update(chunk)
    return checksum.hexdigest()
