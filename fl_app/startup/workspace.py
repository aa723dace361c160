"""The workspace of a parent: writable, with space, and this parent's alone for as long as it lives."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from fl_app.startup.exit_codes import Exit, StartupError

MINIMUM_FREE_BYTES = 64 * 2**20
"""Less than this and the first model or log file fails; more is the operator's to judge."""

LOCK = ".parent.lock"


def check_room(workspace: Path, minimum_free: int = MINIMUM_FREE_BYTES) -> None:
    """Make the workspace if need be, and see that it can be written to and has space.

    Raises:
        StartupError: it cannot be written to, or it is full.
    """
    try:
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workspace) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(workspace, 0) from error
        raise StartupError(
            Exit.WORKSPACE,
            f"the workspace {workspace} is not writable for user {os.getuid()} ({error.strerror}); "
            "give it to this user, or mount a volume there",
        ) from error
    free = shutil.disk_usage(workspace).free
    if free < minimum_free:
        raise _full(workspace, free)


def _full(workspace: Path, free: int) -> StartupError:
    needed = MINIMUM_FREE_BYTES // 2**20
    return StartupError(
        Exit.SPACE,
        f"the workspace {workspace} has {free // 2**20} MiB free and needs {needed} MiB at least; "
        "make space, or give it a larger volume",
    )


def occupy(workspace: Path) -> int:
    """Take the workspace for this process and the children it forks, until the last of them has ended.

    Returns:
        The descriptor that holds it.

    Raises:
        StartupError: another parent has it.
    """
    descriptor = os.open(workspace / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StartupError(
            Exit.IN_USE,
            f"another parent (process {holder}) runs on the workspace {workspace}; stop it first. "
            "Two processes with one kit throw each other out of the federation",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
