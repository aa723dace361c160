"""The files of a federation that runs as processes.

run/process/NAME/             workspace of a server or site; parent.log is its output
run/process/.state/plan.json  specification of the server and every site; written by `up`
run/process/.state/NAME.json  record of its process and exit code; written by the supervisor only
run/process/.state/NAME.owner record of the supervisor that starts it again; `up` and `down` delete it
run/process/.admin/NAME/      copy of an administrator's kit, if the kit names another host
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
from filelock import FileLock
from pydantic import BaseModel

from deploy.runtimes.follow import last_lines
from deploy.runtimes.records import ProcessRecord, locked, read, write
from fl_app.contract import ENV_WORKSPACE
from fl_app.files import PRIVATE_FILE

ENV_RUN_FOLDER = "FLAREFLEET_RUN"
"""Environment variable of every process of a federation: its run folder. Only processes that carry it are
stopped.
"""


class ParentSpec(BaseModel, frozen=True):
    """The settings with which `up` starts a server or site. If they change, `up` restarts the process."""

    name: str
    role: str
    parent_port: int
    telemetry_port: int
    environment: Mapping[str, str]
    credentials: Path | None = None
    """File with further variables, which are secret and therefore not part of the specification."""
    kit_fingerprint: str = ""

    @property
    def telemetry_url(self) -> str:
        """Base URL of its telemetry."""
        return f"http://127.0.0.1:{self.telemetry_port}"


class FederationSpec(BaseModel, frozen=True):
    """The server and every site as `up` starts them."""

    project: str
    server_address: str
    members: tuple[ParentSpec, ...]

    def member(self, name: str) -> ParentSpec | None:
        """Return the server or site of that name."""
        return next((member for member in self.members if member.name == name), None)

    def keeping(self, before: FederationSpec | None, only: Sequence[str]) -> FederationSpec:
        """Return the specification with the members of `before`, except those that `only` names, if any."""
        if before is None or not only:
            return self
        kept = {member.name: member for member in before.members if member.name not in only}
        members = {member.name: member for member in self.members} | kept
        return self.model_copy(update={"members": tuple(members.values())})


class ProcessRunFolder:
    """The folder run/process of a federation."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._state = root / ".state"
        self._spec = self._state / "plan.json"
        self.supervisor_log = self._state / "supervisor.log"

    def make(self) -> None:
        """Create the folder, accessible to this user only."""
        for folder in (self.root, self._state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def workspace(self, name: str) -> Path:
        """Return the workspace of a server or site."""
        return self.root / name

    def log(self, name: str) -> Path:
        """Return the log file of a server or site."""
        return self.workspace(name) / "parent.log"

    def last_lines(self, name: str) -> list[str]:
        """Return the last log lines of a server or site since it was started; earlier runs do not count."""
        record = self.record(name)
        return last_lines(self.log(name), record.log_start if record else 0)

    def spec(self) -> FederationSpec | None:
        """Return the specification of the last `up`; None before the first one."""
        return read(self._spec, FederationSpec)

    def write_spec(self, spec: FederationSpec) -> None:
        """Replace the specification."""
        write(self._spec, spec)

    def record(self, name: str) -> ProcessRecord | None:
        """Return the record of a server's or site's last process; None if there was none since `down`."""
        return read(self._state / f"{name}.json", ProcessRecord)

    def write_record(self, name: str, record: ProcessRecord) -> None:
        """Replace the record of a server or site."""
        write(self._state / f"{name}.json", record)

    def remove_record(self, name: str) -> None:
        """Delete the record of a server or site."""
        (self._state / f"{name}.json").unlink(missing_ok=True)

    def owner(self, name: str) -> ProcessRecord | None:
        """Return the record of the supervisor of a server or site; None if it is being stopped."""
        return read(self._state / f"{name}.owner", ProcessRecord)

    def write_owner(self, name: str, owner: ProcessRecord | None) -> None:
        """Replace or delete the record of the supervisor of a server or site."""
        file = self._state / f"{name}.owner"
        if owner is None:
            file.unlink(missing_ok=True)
        else:
            write(file, owner)

    def is_supervised(self, name: str) -> bool:
        """Return whether the supervisor of a server or site is running."""
        owner = self.owner(name)
        return owner is not None and owner.process() is not None

    @contextmanager
    def changing(self, name: str) -> Iterator[None]:
        """Lock the records of a server or site, for the moment in which they change."""
        with FileLock(self._state / f"{name}.lock", mode=PRIVATE_FILE):
            yield

    def lock(self) -> AbstractContextManager[None]:
        """Lock the folder for a command that starts or stops something.

        Raises:
            Failed: another command holds the lock.
        """
        self.make()
        return locked(self._state / "lock")

    def processes(self, names: Collection[str] | None = None) -> list[psutil.Process]:
        """Return every process that carries this run folder in its environment.

        Args:
            names: only processes of these servers and sites; None for all, with the supervisors.
        """
        workspaces = None if names is None else {str(self.workspace(name)) for name in names}
        return [process for process in psutil.process_iter() if self._is_ours(process, workspaces)]

    def _is_ours(self, process: psutil.Process, workspaces: Collection[str] | None) -> bool:
        try:
            environment = process.environ()
        except psutil.Error:
            return False
        return (
            process.pid != os.getpid()
            and environment.get(ENV_RUN_FOLDER) == str(self.root)
            and (workspaces is None or environment.get(ENV_WORKSPACE) in workspaces)
        )
