"""Temporary folders, deleted by the next command if the command that made them was killed."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PROGRAM = "flarefleet-"
"""Beginning of the names of all folders below the system's temporary folder."""
_OWNER = ".owner"
"""File in the folder that its process keeps locked; the system releases the lock when the process exits."""
_KEPT = ".kept"
"""File in a folder that is left for the user."""
_YOUNG_SECONDS = 60.0
"""Age up to which an unlocked folder may be one whose process is about to lock it."""


@contextlib.contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that only this user may read, and delete it at the end of the block, unless it is kept.

    Folders that killed processes have left are deleted first.

    Args:
        prefix: beginning of its name; `flarefleet-` and what the folder is for, unless `parent` is given.
        parent: existing folder to make it in (default: the system's temporary folder).
    """
    from filelock import FileLock

    where = parent or Path(tempfile.gettempdir())
    _delete_leftovers(where, prefix if parent else _PROGRAM)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
    try:
        with FileLock(folder / _OWNER, timeout=0):
            yield folder
    finally:
        if not (folder / _KEPT).exists():
            shutil.rmtree(folder, ignore_errors=True)


def keep(folder: Path) -> None:
    """Leave a temporary folder to the user."""
    (folder / _KEPT).touch()


def _delete_leftovers(where: Path, prefix: str) -> None:
    """Delete the folders of processes that have exited without deleting them."""
    from filelock import FileLock, Timeout

    for owner in where.glob(f"{glob.escape(prefix)}*/{_OWNER}"):
        folder = owner.parent
        with contextlib.suppress(OSError, Timeout):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid() or (folder / _KEPT).exists():
                continue
            if time.time() - owner.stat().st_mtime > _YOUNG_SECONDS:
                with FileLock(owner, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
