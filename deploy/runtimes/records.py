"""What a runtime writes down: documents, the processes it started, and a lock for who starts and stops."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
from pydantic import BaseModel, ValidationError

from deploy.errors import Failed

_Document = TypeVar("_Document", bound=BaseModel)


class Record(BaseModel, frozen=True):
    """A process that was started, and how it ended."""

    pid: int
    created: float
    """When the process began, by the kernel's clock: with the id it names this process and no later one."""
    exit_code: int | None = None

    def process(self) -> psutil.Process | None:
        """The process itself, if it still runs."""
        if self.exit_code is not None:
            return None
        try:
            process = psutil.Process(self.pid)
            if process.create_time() != self.created or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process


def read(file: Path, kind: type[_Document]) -> _Document | None:
    """The document in `file`; None if there is none, or one of an older release."""
    try:
        return kind.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write(file: Path, document: BaseModel) -> None:
    """Write beside and rename."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(document.model_dump_json(indent=2) + "\n", encoding="utf-8")
    beside.replace(file)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Be the only command that starts or stops something there.

    Args:
        file: the lock; its folder exists.

    Raises:
        Failed: another command is at it.
    """
    with file.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failed(
                f"Another flarefleet starts or stops this federation now: wait for it ({file.parent})."
            ) from error
        yield
