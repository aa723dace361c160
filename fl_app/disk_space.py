"""Free space of a parent's workspace, and how much of it a parent needs."""

from __future__ import annotations

import shutil
from pathlib import Path

MINIMUM_FREE_BYTES = 64 * 2**20
"""With less, a parent cannot write the next model or log file: it does not start, and is not ready."""


def free_space(workspace: Path) -> int:
    """Return the free bytes of the file system of `workspace`.

    Raises:
        OSError: the folder does not exist.
    """
    return shutil.disk_usage(workspace).free


def shortage(workspace: Path, minimum: int | None = None) -> str | None:
    """Return what is wrong if less than `minimum` bytes (MINIMUM_FREE_BYTES) are free; otherwise None."""
    try:
        free = free_space(workspace)
    except OSError:
        return None
    if free >= (MINIMUM_FREE_BYTES if minimum is None else minimum):
        return None
    return f"no space left on its workspace ({free // 2**20} MiB free)"
