"""Writing so that nobody ever sees a half: beside, then renamed; and one at a time."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import MachineError

SECRET_FOLDER = 0o700
SECRET_FILE = 0o600

LOCK_TIMEOUT = 600.0
"""Seconds that a second provisioning waits for the first."""
_LOCK_POLL = 0.1
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write_secret(file: Path, content: bytes) -> None:
    """Replace `file` at once and for good (fsync): 0600, whatever the umask."""
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_FILE)
    with open(descriptor, "wb") as out:  # noqa: PTH123
        os.fchmod(descriptor, SECRET_FILE)
        out.write(content)
        out.flush()
        os.fsync(descriptor)
    beside.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_secret(folder: Path) -> None:
    """Make sure that `folder` exists, 0700, and that every file directly in it is 0600."""
    folder.mkdir(mode=SECRET_FOLDER, exist_ok=True)
    for path, mode in [
        (folder, SECRET_FOLDER),
        *((file, SECRET_FILE) for file in folder.iterdir() if file.is_file()),
    ]:
        if path.stat().st_mode & 0o777 != mode:
            path.chmod(mode)


def exchange(new: Path, place: Path) -> None:
    """Put the folder `new` in the place of `place`; what was there lies at `new` afterwards.

    In one step where the system can (Linux); elsewhere `place` is missing for a moment between two renames.
    """
    if not os.path.lexists(place):
        new.rename(place)
        return
    if not _exchange(new, place):
        old = new.with_name(f"{new.name}.old")
        place.rename(old)
        new.rename(place)
        old.rename(new)


def _exchange(one: Path, other: Path) -> bool:
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
def locked(file: Path, waiting: Callable[[str], None], timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold `file` as the lock of the federation; it ends with the process, however that ends.

    Args:
        file: made when it is missing; it names the process that holds it.
        waiting: called once, with whom it waits for.
        timeout: seconds.

    Raises:
        MachineError: it was still held after `timeout`.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SECRET_FILE)
    try:
        _acquire(descriptor, file, waiting, timeout)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, file: Path, waiting: Callable[[str], None], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
            if time.monotonic() > deadline:
                raise MachineError(
                    f"{file.parent} is still being provisioned by process {holder} after {timeout:.0f} s; "
                    "wait for it or end it, then run again"
                ) from error
            if not told:
                waiting(f"waiting for process {holder}, which provisions {file.parent}")
                told = True
            time.sleep(_LOCK_POLL)
        else:
            return
