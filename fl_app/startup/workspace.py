"""The workspace of a parent: writable, and locked while the parent runs."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.machine import no_space
from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER

LOCK_FILE = ".parent.lock"
LOCK_WAIT_SECONDS = 8.0
"""How long a predecessor may take to exit: it has five seconds to stop."""


def prepare_workspace(workspace: Path) -> None:
    """Create the workspace if it is missing, and check that it is writable.

    Raises:
        StartupError: the workspace is not writable, or its file system is full.
    """
    try:
        workspace.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workspace) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(workspace, 0) from error
        raise StartupError(
            Exit.WORKSPACE,
            f"the workspace {workspace} is not writable for user {os.getuid()} ({error.strerror}); "
            "change its owner to this user, or mount a volume there",
        ) from error


@contextlib.contextmanager
def locked_workspace(workspace: Path, timeout: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Lock the workspace for this process. The kernel releases the lock when the process dies.

    Args:
        workspace: the folder.
        timeout: seconds to wait for a parent that is exiting.

    Raises:
        StartupError: another parent holds the lock.
    """
    file = workspace / LOCK_FILE
    lock = FileLock(file, timeout=timeout, mode=PRIVATE_FILE, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        holder = file.read_text(encoding="ascii", errors="replace").strip() or "unknown"
        raise StartupError(
            Exit.IN_USE,
            f"another parent (process {holder}) runs on the workspace {workspace}; stop it first. "
            "Two parents with one kit disconnect each other from the federation",
        ) from error
    with lock:
        file.write_text(str(os.getpid()), encoding="ascii")
        yield
