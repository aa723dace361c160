"""Free space of a parent's workspace, and how much of it a parent needs."""

from __future__ import annotations

import shutil
from pathlib import Path

MINIMUM_FREE_BYTES = 64 * 2**20
"""A parent does not start with less: it could not write the next model or log file."""
MINIMUM_READY_BYTES = 32 * 2**20
"""A running parent is not ready with less.

The limit is below that of a start, so that a parent that started with the minimum stays ready while it writes
its first files.
"""


def free_space(workspace: Path) -> int:
    """Return the free bytes of the file system of `workspace`.

    Raises:
        OSError: the folder does not exist.
    """
    return shutil.disk_usage(workspace).free


def shortage(workspace: Path) -> str | None:
    """Return what is wrong if less than MINIMUM_READY_BYTES are free; otherwise None."""
    try:
        free = free_space(workspace)
    except OSError:
        return None
    if free >= MINIMUM_READY_BYTES:
        return None
    return f"no space left on its workspace ({free // 2**20} MiB free)"
