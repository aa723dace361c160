"""The federation as processes: one for the server, one for each site, and a keeper that sees how they end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from deploy.errors import Failed, InputError
from deploy.hosts import local_server_host
from deploy.project.server_environment import TRACKER_PREFIXES, server_environment
from deploy.runtimes.admin_kit import kit_for_host
from deploy.runtimes.follow import follow_lines, read_lines
from deploy.runtimes.ports import free_ports, is_free, refuse_taken_ports
from deploy.runtimes.process.observation import observe, tail
from deploy.runtimes.process.run_folder import MARK, Member, Plan, RunFolder
from deploy.runtimes.protocol import FederationStatus, Progress
from deploy.runtimes.readiness import wait_until_ready
from fl_app import contract

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.workspace import Workspace

STOP_SECONDS = 8.0
"""From SIGTERM to SIGKILL; a parent that is asked to stop takes five at most."""
START_SECONDS = 30.0
RECORD_SECONDS = 2.0
MEMORY_ARENAS = "4"
"""MALLOC_ARENA_MAX, as NVFlare's own start script sets it: fewer of glibc's arenas keep parents small."""


class ProcessRuntime:
    """A federation in processes, as `deploy.runtimes.protocol.Runtime` promises it.

    Args:
        project: what project.yml says.
        workspace: the federation's folder.
    """

    name = "process"

    def __init__(self, project: Project, workspace: Workspace) -> None:
        self.project = project
        self.workspace = workspace
        self.folder = RunFolder(workspace.run(self.name))

    def up(self, progress: Progress | None = None, timeout: float = 60.0) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.up`."""
        with self.folder.lock():
            self._stop(set(self._running()) - set(self._roles))  # sites that project.yml names no more
            running = set(self._running())
            missing = [name for name in self._roles if name not in running]
            if missing:
                self._refuse_taken_ports(missing)
                self.folder.write_plan(self._plan(running))
                self._start(missing)
        return wait_until_ready(self.status, self._log_end, progress, timeout)

    def down(self) -> None:
        """See `deploy.runtimes.protocol.Runtime.down`."""
        if not self.folder.root.exists():
            return
        with self.folder.lock():
            plan = self.folder.plan()
            self._stop(member.name for member in (plan.members if plan else ()))
            _kill(
                self.folder.processes()
            )  # job processes without a parent, and what an `up` that was killed left behind

    def status(self) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.status`."""
        plan = self.folder.plan()
        return FederationStatus(
            project=self.project.name,
            runtime=self.name,
            server_address=plan.server_address if plan and self._running() else None,
            sites=observe(self.folder, plan) if plan else (),
        )

    def logs(self, site: str, follow: bool = False) -> Iterator[str]:
        """See `deploy.runtimes.protocol.Runtime.logs`."""
        if site not in self._roles:
            raise InputError(f"There is no site {site}; there are: {', '.join(self._roles)}.")
        log = self.folder.log(site)
        return follow_lines(log, lambda: site in self._running()) if follow else read_lines(log)

    def analytics(self) -> Path | None:
        """See `deploy.runtimes.protocol.Runtime.analytics`."""
        found = self.folder.home(self.project.server.name) / contract.ANALYTICS_FOLDER
        return found if found.is_dir() else None

    def admin_kit(self, admin: str) -> Path:
        """See `deploy.runtimes.protocol.Runtime.admin_kit`."""
        if self.project.server.name not in self._running():
            raise Failed("The federation is not up: flarefleet up --runtime process")
        return kit_for_host(
            self.workspace.kit(admin), local_server_host(self.project), self.folder.admin(admin)
        )

    @property
    def _roles(self) -> Mapping[str, str]:
        """The role of the server and of each site of project.yml, the server first."""
        return {parent.name: parent.role for parent in self.project.parents}

    def _running(self) -> dict[str, psutil.Process]:
        """The processes of the plan's servers and sites that run now."""
        plan = self.folder.plan()
        found = {}
        for member in plan.members if plan else ():
            record = self.folder.record(member.name)
            process = record.process() if record else None
            if process is not None:
                found[member.name] = process
        return found

    def _refuse_taken_ports(self, missing: Iterable[str]) -> None:
        server = self.project.server
        if server.name in missing:
            refuse_taken_ports({server.fed_learn_port, server.admin_port})

    def _plan(self, running: set[str]) -> Plan:
        """The plan of everybody: who runs keeps what it has, others keep their ports while those are free."""
        old = self.folder.plan()
        address = f"{local_server_host(self.project)}:{self.project.server.fed_learn_port}"
        members = []
        for name, role in self._roles.items():
            before = old.member(name) if old else None
            if before is not None and name in running:
                members.append(before)
                continue
            ports = [before.parent_port, before.telemetry_port] if before else []
            if not ports or not all(map(is_free, ports)):
                ports = free_ports(2)
            members.append(self._member(name, role, address, *ports))
        return Plan(project=self.project.name, server_address=address, members=tuple(members))

    def _member(self, name: str, role: str, address: str, parent_port: int, telemetry_port: int) -> Member:
        environment = {
            MARK: str(self.folder.root),
            contract.ENV_KIT: str(self.workspace.kit(name)),
            contract.ENV_KEY: str(self.workspace.kit(name) / "startup"),
            contract.ENV_WORKSPACE: str(self.folder.home(name)),
            contract.ENV_PARENT_PORT: str(parent_port),
            contract.ENV_TELEMETRY_HOST: "127.0.0.1",
            contract.ENV_TELEMETRY_PORT: str(telemetry_port),
            "MALLOC_ARENA_MAX": MEMORY_ARENAS,
        }
        credentials = None
        if role == "client":
            environment[contract.ENV_SERVER_ADDRESS] = address
        else:
            environment |= server_environment(self.project)
            credentials = self.project.credentials_file
        return Member(
            name=name,
            role=role,
            parent_port=parent_port,
            telemetry_port=telemetry_port,
            environment=environment,
            credentials=credentials,
        )

    def _start(self, names: list[str]) -> None:
        """Start them under a keeper of their own, and wait until it has written down what it started."""
        for name in names:
            self.folder.remove_record(name)
        keeper_log = self.folder.root / ".state" / "keeper.log"
        with keeper_log.open("wb") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "deploy.runtimes.process.supervisor", str(self.folder.root), *names],
                env=_own_environment() | {MARK: str(self.folder.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not all(self.folder.record(name) for name in names):
            if keeper.poll() is not None or time.monotonic() > deadline:
                raise Failed("\n".join(["The processes could not be started:", *tail(keeper_log)]))
            time.sleep(0.02)

    def _stop(self, names: Iterable[str]) -> None:
        """Ask them to stop, insist after a while, and forget them."""
        names = list(names)
        running = [process for name, process in self._running().items() if name in names]
        for process in running:
            _ignoring_ended(process.terminate)
        _kill(_wait_for_end(running))
        self._wait_for_keeper(names)
        for name in names:
            self.folder.remove_record(name)

    def _wait_for_keeper(self, names: Iterable[str]) -> None:
        """Let the keeper, if there still is one, write down how they ended before that is forgotten."""
        deadline = time.monotonic() + RECORD_SECONDS
        for name in names:
            while (record := self.folder.record(name)) and record.exit_code is None:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.01)

    def _log_end(self, name: str) -> list[str]:
        return tail(self.folder.log(name))


def _own_environment() -> dict[str, str]:
    """Return this process's environment without the variables that project.yml or a single parent decides."""
    decided = ("FLARE_", *TRACKER_PREFIXES)
    return {
        name: value
        for name, value in os.environ.items()
        if name == contract.ENV_METRICS_KEPT or not name.startswith(decided)
    }


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        _ignoring_ended(process.kill)
    _wait_for_end(processes)


def _wait_for_end(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait until they have ended, and return those that have not in time.

    Other than in psutil.wait_procs, a zombie counts as ended.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while (processes := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return processes


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _ignoring_ended(action: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        action()
