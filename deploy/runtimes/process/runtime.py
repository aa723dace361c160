"""Run a federation as processes: the server, every site, and a supervisor that records their exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from deploy.errors import Failed, InputError
from deploy.hosts import local_server_host
from deploy.ports import free_ports, is_free
from deploy.project.server_environment import (
    TRACKER_PREFIXES,
    server_environment,
    site_environment,
)
from deploy.runtimes.admin_kit import kit_for_host
from deploy.runtimes.fingerprint import fingerprint
from deploy.runtimes.follow import last_lines, read_lines
from deploy.runtimes.polling import poll_until
from deploy.runtimes.process import run_folder
from deploy.runtimes.process.checks import CHECKS
from deploy.runtimes.process.observation import observe
from deploy.runtimes.process.run_folder import FederationSpec, ParentSpec, ProcessRunFolder
from deploy.runtimes.protocol import WHOLE_LOG, FederationStatus, LogPart, StatusCallback
from deploy.runtimes.readiness import wait_until_ready
from deploy.runtimes.records import is_running
from deploy.runtimes.telemetry_status import as_server_sees
from fl_app import contract
from fl_app.checks.check import require

if TYPE_CHECKING:
    from deploy.project import Project, Server, Site
    from deploy.workspace import Workspace

STOP_SECONDS = 8.0
"""Time between SIGTERM and SIGKILL; a parent takes at most five seconds to stop."""
START_SECONDS = 30.0
PORT_SECONDS = 5.0
"""How long a killed server may take to release its ports."""
MEMORY_ARENAS = "4"
"""MALLOC_ARENA_MAX, as in NVFlare's start script: it limits the memory of parents."""


class ProcessRuntime:
    """A federation in processes. It implements `deploy.runtimes.protocol.Runtime`.

    `restart` is whether a server or site that died is started again.
    """

    name = "process"

    def __init__(self, project: Project, workspace: Workspace) -> None:
        self.project = project
        self.workspace = workspace
        self.restart = True
        self.folder = ProcessRunFolder(workspace.run(self.name))

    def up(
        self, progress: StatusCallback | None = None, timeout: float = 60.0, only: Sequence[str] = ()
    ) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.up`."""
        if any(character.isspace() for character in str(self.folder.root)):
            raise InputError(
                f"{self.folder.root}: NVFlare cannot start job processes in a path with spaces. Use another "
                "folder: flarefleet --workspace FOLDER up"
            )
        with self.folder.lock():
            running = self._running()
            names = [parent.name for parent in self.project.parents if parent.name in only or not only]
            # Also those that a supervisor is about to start again, and what a killed parent left behind.
            self._stop([name for name in names if name not in running])
            before = self.folder.spec()
            keeping = [
                name for name, one in running.items() if before and _keeps_port(before.member(name), one)
            ]
            spec = self._make_spec(before, keeping).keeping(before, only)
            unchanged = [one.name for one in spec.members if before and one == before.member(one.name)]
            current = set(unchanged) & running.keys()
            starts_server = self.project.server.name in names
            if before and starts_server:
                # The kernel may still be closing the ports of a server that was just killed.
                ports = self.ports_to_open()
                poll_until(lambda: all(is_free(port, "") for port in ports), PORT_SECONDS, 0.05)
            require(CHECKS if starts_server else (), self)
            self._stop(set(running) - current)
            self.folder.write_spec(spec)
            self._start([one for one in names if one not in current or not self.folder.is_supervised(one)])
        return wait_until_ready(self.status, self.folder.last_lines, progress, timeout, only=only)

    def down(self) -> None:
        """See `deploy.runtimes.protocol.Runtime.down`."""
        if not self.folder.root.exists():
            return
        with self.folder.lock():
            spec = self.folder.spec()
            self._stop(member.name for member in (spec.members if spec else ()))
            _kill(self.folder.processes())  # orphaned job processes, and processes of an `up` that was killed

    def stop(self, names: Sequence[str]) -> None:
        """See `deploy.runtimes.protocol.Runtime.stop`."""
        if self.folder.root.exists():
            with self.folder.lock():
                self._stop(names)

    def status(self) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.status`."""
        spec = self.folder.spec()
        status = FederationStatus(
            project=self.project.name,
            runtime=self.name,
            server_address=spec.server_address if spec and self._running() else None,
            sites=observe(self.folder, spec) if spec else (),
        )
        return as_server_sees(status)

    def logs(self, site: str, follow: bool = False, part: LogPart = WHOLE_LOG) -> Iterator[str]:
        """See `deploy.runtimes.protocol.Runtime.logs`."""
        log = self.folder.log(self.project.parent(site).name)
        return read_lines(log, lambda: follow and self._runs_or_restarts(site), part)

    def analytics(self) -> Path | None:
        """See `deploy.runtimes.protocol.Runtime.analytics`."""
        found = self.folder.workspace(self.project.server.name) / contract.ANALYTICS_FOLDER
        return found if found.is_dir() else None

    def admin_kit(self, admin: str) -> Path:
        """See `deploy.runtimes.protocol.Runtime.admin_kit`."""
        if self.project.server.name not in self._running():
            raise Failed("The federation is not running; start it: flarefleet up --runtime process")
        return kit_for_host(
            self.workspace.kit(admin), local_server_host(self.project), self.folder.root / ".admin" / admin
        )

    def ports_to_open(self) -> set[int]:
        """Return the federation's ports, without those that its running server has open."""
        ports = {self.project.server.fed_learn_port, self.project.server.admin_port}
        if server := self._running().get(self.project.server.name):
            ports -= _listening_ports(server)
        return ports

    def _runs_or_restarts(self, name: str) -> bool:
        record = self.folder.record(name)
        if record is None or record.is_final:
            return False
        return record.process() is not None or self.folder.is_supervised(name)

    def _running(self) -> dict[str, psutil.Process]:
        spec = self.folder.spec()
        found = {}
        for member in spec.members if spec else ():
            record = self.folder.record(member.name)
            process = record.process() if record else None
            if process is not None:
                found[member.name] = process
        return found

    def _make_spec(self, before: FederationSpec | None, running: Container[str]) -> FederationSpec:
        """Specify the server and every site. Those in `running` keep their ports, others if they are free."""
        address = f"{local_server_host(self.project)}:{self.project.server.fed_learn_port}"
        server, members = self.project.server, []
        used = {
            last.name: (last.parent_port, last.telemetry_port) for last in (before.members if before else ())
        }
        kept = {name: ports for name, ports in used.items() if name in running or all(map(is_free, ports))}
        missing = [parent.name for parent in self.project.parents if parent.name not in kept]
        besides = {server.fed_learn_port, server.admin_port, *chain(*used.values())}
        spare = free_ports(2 * len(missing), besides)
        for parent in self.project.parents:
            ports = kept.get(parent.name) or (spare.pop(), spare.pop())
            members.append(self._member(parent, address, *ports))
        return FederationSpec(project=self.project.name, server_address=address, members=tuple(members))

    def _member(
        self, parent: Server | Site, address: str, parent_port: int, telemetry_port: int
    ) -> ParentSpec:
        kit = self.workspace.kit(parent.name)
        environment = {
            run_folder.ENV_RUN_FOLDER: str(self.folder.root),
            contract.ENV_KIT: str(kit),
            contract.ENV_KEY: str(kit / "startup"),
            contract.ENV_WORKSPACE: str(self.folder.workspace(parent.name)),
            contract.ENV_PARENT_PORT: str(parent_port),
            contract.ENV_TELEMETRY_HOST: "127.0.0.1",
            contract.ENV_TELEMETRY_PORT: str(telemetry_port),
            "MALLOC_ARENA_MAX": MEMORY_ARENAS,
        }
        if not self.restart:
            environment[contract.ENV_RESTART] = "false"
        credentials = None
        if parent.role == "client":
            environment |= {contract.ENV_SERVER_ADDRESS: address, **site_environment(self.project)}
        else:
            environment |= server_environment(self.project)
            credentials = self.project.credentials_file
        return ParentSpec(
            name=parent.name,
            role=parent.role,
            parent_port=parent_port,
            telemetry_port=telemetry_port,
            environment=environment,
            credentials=credentials,
            kit_fingerprint=fingerprint(
                kit / "startup", kit / "local", *([credentials] if credentials else [])
            ),
        )

    def _start(self, names: list[str]) -> None:
        """Start servers and sites under a supervisor, or let it take over those that are running."""
        if not names:
            return
        with self.folder.supervisor_log.open("wb") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "deploy.runtimes.process.supervisor", str(self.folder.root), *names],
                env=_inherited_environment() | {run_folder.ENV_RUN_FOLDER: str(self.folder.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def is_started() -> bool:
            return all(self.folder.record(name) and self.folder.is_supervised(name) for name in names)

        poll_until(lambda: is_started() or supervisor.poll() is not None, START_SECONDS, 0.02)
        if not is_started():
            lines = last_lines(self.folder.supervisor_log)
            raise Failed("\n".join(["The processes could not be started:", *lines]))

    def _stop(self, names: Iterable[str]) -> None:
        """Terminate servers and sites, kill those that do not exit in time, and delete their records."""
        if not (names := list(names)):
            return
        for name in names:
            with self.folder.changing(name):  # no supervisor starts or records it from now on
                self.folder.write_owner(name, None)
        _terminate([process for name, process in self._running().items() if name in names])
        _terminate(self.folder.processes(names))  # processes whose supervisor was killed
        for name in names:
            self.folder.remove_record(name)


def _inherited_environment() -> dict[str, str]:
    """Return this process's environment without the variables that project.yml or a single parent decides."""
    decided = ("FLARE_", *TRACKER_PREFIXES)
    own = (contract.ENV_METRICS_KEPT, contract.ENV_FORK_JOBS, contract.ENV_DIRECT_EXCHANGE)
    return {name: value for name, value in os.environ.items() if name in own or not name.startswith(decided)}


def _keeps_port(member: ParentSpec | None, process: psutil.Process) -> bool:
    """Return whether no other process has taken the port for job processes of a running server or site."""
    port = member.parent_port if member else 0
    return is_free(port) or port in _listening_ports(process)


def _listening_ports(process: psutil.Process) -> set[int]:
    ports: set[int] = set()
    with suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            connections = one.net_connections(kind="tcp")
            ports |= {found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN}
    return ports


def _terminate(processes: list[psutil.Process]) -> None:
    """Terminate processes, and kill those that do not exit in time."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _kill(_wait_until_exited(processes))


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_until_exited(processes)


def _wait_until_exited(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait, and return those that are still running after the timeout.

    Unlike in psutil.wait_procs, a zombie counts as exited.
    """
    poll_until(lambda: not any(map(is_running, processes)), STOP_SECONDS, 0.01)
    return [process for process in processes if is_running(process)]
