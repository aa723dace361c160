"""Fingerprints, by which `up` finds out what has changed since a server or site was started."""

from __future__ import annotations

import hashlib
from pathlib import Path


def fingerprint(*paths: Path) -> str:
    """Return a SHA-256 digest of the names and contents of these files, and of all files in these folders."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(file for file in (path, *path.rglob("*")) if file.is_file()):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(path.parent)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
