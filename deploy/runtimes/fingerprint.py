"""Fingerprints, by which `up` finds out what has changed since a server or site was started."""

from __future__ import annotations

import hashlib
from pathlib import Path


def fingerprint(*folders: Path) -> str:
    """Return a SHA-256 digest of the names and contents of all files in these folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(folder.parent)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
