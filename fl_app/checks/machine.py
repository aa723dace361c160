"""Checks of the machine: free disk space, and the clock."""

from __future__ import annotations

import ctypes
import sys
from datetime import datetime, timezone
from pathlib import Path

from fl_app.checks.check import Category, Check, CheckFailed, NotApplicable, Severity
from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.disk_space import MINIMUM_FREE_BYTES, free_space

_ADJTIMEX_BYTES = 512
_TIME_ERROR = 5
"""adjtimex(2) returns it if no time service synchronizes the clock."""


def check_disk_space(folder: Path, minimum: int = MINIMUM_FREE_BYTES) -> str:
    """Check that the file system of `folder`, or of the nearest folder above that exists, has free space.

    Raises:
        StartupError: it has less than `minimum` bytes.
    """
    existing = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    free = free_space(existing)
    if free < minimum:
        raise no_space(folder, free, minimum)
    return f"{existing} has {free / 2**30:.1f} GiB free"


def no_space(folder: Path, free: int, needed: int = MINIMUM_FREE_BYTES) -> StartupError:
    """Return the error of a folder with too little space, in bytes."""
    return StartupError(
        Exit.SPACE,
        f"the workspace {folder} has {free // 2**20} MiB free and needs at least {needed // 2**20} MiB; "
        "delete files, or use a larger volume",
    )


def check_clock(_: object = None) -> str:
    """Check that a time service synchronizes the clock.

    Raises:
        CheckFailed: none does.
        NotApplicable: this system does not tell.
    """
    if sys.platform != "linux":
        raise NotApplicable(f"{sys.platform} does not tell whether its clock is synchronized")
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_ADJTIMEX_BYTES))
    if state < 0:
        raise NotApplicable("the kernel does not tell whether its clock is synchronized")
    now = datetime.now(timezone.utc)
    if state == _TIME_ERROR:
        raise CheckFailed(
            f"no time service synchronizes the clock, which shows {now:%Y-%m-%d %H:%M:%S} UTC; if it is "
            "wrong, certificates are rejected. Enable one: timedatectl set-ntp true",
        )
    return f"synchronized; {now:%Y-%m-%d %H:%M:%S} UTC"


DISK_SPACE: Check[Path] = Check(
    "disk-space",
    Category.MACHINE,
    f"At least {MINIMUM_FREE_BYTES // 2**20} MiB are free for the workspace.",
    "Delete files, or use a larger volume. See the runbook WorkspaceFilling for what a parent stores.",
    check_disk_space,
)
CLOCK: Check[object] = Check(
    "clock",
    Category.MACHINE,
    "A time service synchronizes the clock of this machine.",
    "Enable NTP or chrony. A wrong clock makes certificates appear expired or not valid yet.",
    check_clock,
    Severity.WARNING,
)
