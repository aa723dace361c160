"""The files of a federation that runs as processes: its plan, and a record of each process.

run/process/NAME/             the workspace of a server or site; parent.log is all that it wrote
run/process/.state/plan.json  what runs where; written by `up`
run/process/.state/NAME.json  the process it runs in, and how that ended; written by the keeper alone
run/process/.admin/NAME/      a copy of an administrator's kit, where its own names another host
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
from pydantic import BaseModel

from deploy.runtimes.records import Record, locked, read, write

MARK = "FLAREFLEET_RUN"
"""In the environment of every process of a federation: its folder. Only what carries it is ours to stop."""


class Member(BaseModel, frozen=True):
    """A server or site: its role, and the ports it was given."""

    name: str
    role: str
    parent_port: int
    telemetry_port: int
    environment: Mapping[str, str]
    credentials: Path | None = None
    """File with further variables, which are secret and so not in the plan."""

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
        return read(self._plan, Plan)

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        write(self._plan, plan)

    def record(self, name: str) -> Record | None:
        """The process that a server or site was last started in; None if there was none since `down`."""
        return read(self._state / f"{name}.json", Record)

    def write_record(self, name: str, record: Record) -> None:
        """Replace the record."""
        write(self._state / f"{name}.json", record)

    def remove_record(self, name: str) -> None:
        """Forget that a server or site was started."""
        (self._state / f"{name}.json").unlink(missing_ok=True)

    def lock(self) -> AbstractContextManager[None]:
        """Be the only command that starts or stops something here.

        Raises:
            Failed: another command is at it.
        """
        self.make()
        return locked(self._state / "lock")

    def processes(self) -> list[psutil.Process]:
        """Every process that carries this federation's mark, whatever became of its parent."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.pid != os.getpid() and process.environ().get(MARK) == str(self.root)
        except psutil.Error:
            return False
