"""Files in which runtimes keep their state: documents, process records, and a lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from deploy.errors import Failed
from fl_app.files import write_atomically

_Document = TypeVar("_Document", bound=BaseModel)


class ProcessRecord(BaseModel, frozen=True):
    """A process that was started, and its exit code once it has exited and is not started again."""

    pid: int
    created: float
    """Start time by the kernel's clock: a later process with the same id has another one."""
    exit_code: int | None = None
    has_exited: bool = False
    """Whether it has exited, also if its exit code is unknown."""
    restarts: int = 0
    last_exit: str = ""
    """How it exited before it was last started again."""
    log_start: int = 0
    """Size of its log in bytes when `up` started it: what follows is of this start."""

    @classmethod
    def of(cls, process: psutil.Process) -> ProcessRecord:
        """Return the record of a running process."""
        return cls(pid=process.pid, created=process.create_time())

    @property
    def is_final(self) -> bool:
        """Whether it has exited and is not started again."""
        return self.exit_code is not None or self.has_exited

    def process(self) -> psutil.Process | None:
        """Return the process if it is still running."""
        if self.is_final:
            return None
        try:
            process = psutil.Process(self.pid)
            if process.create_time() != self.created or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process


def is_running(process: psutil.Process) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read(file: Path, kind: type[_Document]) -> _Document | None:
    """Return the document in `file`; None if it is missing or invalid."""
    try:
        return kind.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write(file: Path, document: BaseModel) -> None:
    """Replace the document in `file`."""
    write_atomically(file, f"{document.model_dump_json(indent=2)}\n".encode())


@contextmanager
def locked(file: Path, timeout: float = 0.0) -> Iterator[None]:
    """Let one command at a time start or stop a federation.

    The lock is released when this process exits; child processes do not inherit it.

    Args:
        timeout: seconds to wait for another command.

    Raises:
        Failed: another command holds the lock.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(file, timeout=timeout)
    try:
        lock.acquire()
    except Timeout as error:
        raise Failed(
            f"Another flarefleet command is starting or stopping this federation; "
            f"wait for it ({file.parent})."
        ) from error
    try:
        yield
    finally:
        lock.release()
