"""Lock a workspace, stage new files in it, and replace or remove a folder in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.errors import MachineError
from deploy.workspace import Workspace
from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER

OWN_PREFIX = ".flarefleet"
LOCK = f"{OWN_PREFIX}.lock"
STAGING = f"{OWN_PREFIX}.staging"
"""Files in preparation. The next run deletes what a killed run left here."""
LOCK_TIMEOUT = 600.0
"""Seconds to wait for another process that changes the workspace."""
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def make_private(folder: Path) -> None:
    """Create `folder`, and restrict it and every file directly in it to their owner (0700, 0600)."""
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    files = ((file, PRIVATE_FILE) for file in folder.iterdir() if file.is_file())
    for path, mode in [(folder, PRIVATE_FOLDER), *files]:
        if path.stat().st_mode & 0o777 != mode:
            path.chmod(mode)


def replace_folder(new: Path, folder: Path) -> None:
    """Replace `folder` with the folder `new`. Afterwards `new` holds the old content.

    This is atomic on Linux. On other systems `folder` is missing for a moment between two renames.
    """
    if not os.path.lexists(folder):
        new.rename(folder)
    elif not _exchange(new, folder):
        old = new.with_name(f"{new.name}.old")
        folder.rename(old)
        new.rename(folder)
        old.rename(new)


def link_or_copy(file: str, target: str) -> None:
    """Make a hard link to a file, or a copy on a file system without hard links."""
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(file, target, follow_symlinks=False)


def move_to_removed(workspace: Workspace, folder: Path, name: str) -> Path:
    """Move a folder of a removed participant to the folder `removed`, as `name` with the current time.

    Returns:
        Its new path, whether or not `folder` exists.
    """
    workspace.removed.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    target = workspace.removed / f"{name}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
    if folder.exists():
        folder.rename(target)
    return target


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths with renameat2. Return False if the system does not support it."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


@contextmanager
def locked(
    workspace: Workspace, on_wait: Callable[[str], None] | None = None, timeout: float = LOCK_TIMEOUT
) -> Iterator[None]:
    """Hold the lock of a workspace. A thread that holds it may acquire it again.

    The operating system releases the lock when the process exits or is killed.

    Args:
        on_wait: called once with a message if another process holds the lock.
        timeout: seconds.

    Raises:
        MachineError: another process still holds the lock after `timeout`.
    """
    file = workspace.root / LOCK
    lock = FileLock(file, mode=PRIVATE_FILE, is_singleton=True, on_acquired=_write_pid)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if on_wait:
            on_wait(f"waiting for process {_holder(file)}, which provisions {workspace.root}")
        try:
            lock.acquire(timeout=timeout)
        except Timeout as error:
            raise MachineError(
                f"{workspace.root} is still being provisioned by process {_holder(file)} after "
                f"{timeout:.0f} s. Wait until it has finished or stop it, then run the command again."
            ) from error
    try:
        yield
    finally:
        lock.release()


def _write_pid(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _holder(file: Path) -> str:
    return file.read_text(errors="replace") or "unknown"


@contextmanager
def staging(workspace: Workspace) -> Iterator[Path]:
    """Create an empty folder on the workspace's file system and delete it afterwards.

    The caller holds the lock of the workspace.
    """
    folder = workspace.root / STAGING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=PRIVATE_FOLDER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def os_errors_explained(workspace: Workspace) -> Iterator[None]:
    """Turn an OSError into a MachineError that names the path."""
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename or workspace.root)
        raise MachineError(
            f"{where}: {error.strerror or error}. {workspace.root} is unchanged, or the next run "
            "completes it."
        ) from error
