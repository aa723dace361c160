"""The files of a federation that runs as processes: its plan, and a record of each process.

run/process/NAME/             the workspace of a server or site; parent.log is all that it wrote
run/process/.state/plan.json  what runs where; written by `up`
run/process/.state/NAME.json  the process it runs in, and how that ended; written by the keeper alone
run/process/.admin/NAME/      a copy of an administrator's kit, where its own names another host
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
from pydantic import BaseModel, ValidationError

from deploy.errors import Failed

MARK = "FLAREFLEET_RUN"
"""In the environment of every process of a federation: its folder. Only what carries it is ours to stop."""


_Document = TypeVar("_Document", bound=BaseModel)


class Member(BaseModel, frozen=True):
    """A server or site: its role, and the ports it was given."""

    name: str
    role: str
    parent_port: int
    telemetry_port: int
    environment: Mapping[str, str]

    @property
    def telemetry_url(self) -> str:
        """Where its telemetry answers."""
        return f"http://127.0.0.1:{self.telemetry_port}"


class Plan(BaseModel, frozen=True):
    """What of a federation runs where."""

    project: str
    server_address: str
    members: tuple[Member, ...]

    def member(self, name: str) -> Member | None:
        """The server or site of that name."""
        return next((member for member in self.members if member.name == name), None)


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


class RunFolder:
    """run/process of a federation.

    Args:
        root: that folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._state = root / ".state"
        self._plan = self._state / "plan.json"

    def make(self) -> None:
        """Make it, for this user alone."""
        for folder in (self.root, self._state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def home(self, name: str) -> Path:
        """The workspace of a server or site."""
        return self.root / name

    def log(self, name: str) -> Path:
        """All that a server or site wrote."""
        return self.home(name) / "parent.log"

    def admin(self, name: str) -> Path:
        """A copy of an administrator's kit."""
        return self.root / ".admin" / name

    def plan(self) -> Plan | None:
        """What `up` planned; None if there never was an `up`."""
        return _read(self._plan, Plan)

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        write(self._plan, plan)

    def record(self, name: str) -> Record | None:
        """The process that a server or site was last started in; None if there was none since `down`."""
        return _read(self._state / f"{name}.json", Record)

    def write_record(self, name: str, record: Record) -> None:
        """Replace the record."""
        write(self._state / f"{name}.json", record)

    def remove_record(self, name: str) -> None:
        """Forget that a server or site was started."""
        (self._state / f"{name}.json").unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only command that starts or stops something here.

        Raises:
            Failed: another command is at it.
        """
        self.make()
        with (self._state / "lock").open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Failed(
                    f"Another flarefleet starts or stops this federation now: wait for it ({self.root})."
                ) from error
            yield

    def processes(self) -> list[psutil.Process]:
        """Every process that carries this federation's mark, whatever became of its parent."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.pid != os.getpid() and process.environ().get(MARK) == str(self.root)
        except psutil.Error:
            return False


def _read(file: Path, kind: type[_Document]) -> _Document | None:
    try:
        return kind.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None  # a file of an older release says nothing


def write(file: Path, document: BaseModel) -> None:
    """Write beside and rename."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(document.model_dump_json(indent=2) + "\n", encoding="utf-8")
    beside.replace(file)
