"""Atomic and durable writes: a reader sees the old content or the new, also after a kill."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE_FILE = 0o600
"""Mode of a file that only its owner can read."""
PRIVATE_FOLDER = 0o700
PUBLIC_FILE = 0o644


def write_atomically(file: Path, content: bytes, mode: int = PUBLIC_FILE) -> None:
    """Replace `file` atomically, with fsync of the file and of its folder.

    Args:
        file: file to replace; its folder exists.
        content: new content.
        mode: mode of the new file, regardless of the umask.

    Raises:
        OSError: the write failed; `file` is unchanged, and no temporary file is left.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".new", dir=file.parent)
    try:
        with open(descriptor, "wb") as out:  # noqa: PTH123 - a descriptor
            os.fchmod(descriptor, mode)
            out.write(content)
            out.flush()
            os.fsync(descriptor)
        os.replace(name, file)  # noqa: PTH105 - a plain name
    except BaseException:
        os.unlink(name)  # noqa: PTH108
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable (fsync)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
