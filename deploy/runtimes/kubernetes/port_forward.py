"""Port forwarding: ports of this machine that lead into pods, served by a daemon (`port_forward_daemon`).

A forwarded port stays the same when its pod is replaced. Port forwarding needs the kubeconfig only: no node
port, no load balancer, and no rule of a network policy.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel

from deploy.errors import Failed
from deploy.hosts import LOOPBACK
from deploy.ports import free_ports, is_free
from deploy.runtimes import records
from deploy.runtimes.polling import poll_until
from deploy.runtimes.records import ProcessRecord
from fl_app.contract import TELEMETRY_PORT

if TYPE_CHECKING:
    from deploy.runtimes.kubernetes.plan import InstallationPlan

START_SECONDS = 60.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.05
FEDERATION, ADMIN, TELEMETRY = "federation", "admin", "telemetry"


class PortForward(BaseModel, frozen=True):
    """A port of this machine and its destination."""

    name: str
    """Name of the server or site."""
    purpose: str
    context: str
    namespace: str
    selector: str
    port: int
    """Port in the pod."""
    local_port: int


class PortForwardList(BaseModel, frozen=True):
    """All port forwards of a federation."""

    forwards: tuple[PortForward, ...] = ()

    def find(self, name: str, purpose: str) -> PortForward | None:
        """Return the port forward of a server or site for a purpose."""
        matches = (one for one in self.forwards if (one.name, one.purpose) == (name, purpose))
        return next(matches, None)


class PortForwarder:
    """Starts and stops the daemon that serves the port forwards of a federation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._list = folder / "port-forwards.json"
        self._record = folder / "forwarding.json"
        self._log = folder / "forwarding.log"

    def start(self, plan: InstallationPlan, federation_port: int, admin_port: int) -> None:
        """Start the daemon, unless it serves these forwards, and wait until it listens.

        Local ports are kept if they are free.

        Raises:
            Failed: the daemon exited or does not listen in time, or another command holds the lock.
        """
        with records.locked(self._folder / ".port-forward.lock", START_SECONDS):
            before = self.list()
            is_running = self._process() is not None
            wanted = _wanted(plan, federation_port, admin_port, before, keep_all=is_running)
            if is_running:
                if wanted == before:
                    return
                self.stop()
            records.write(self._list, wanted)
            self._start_daemon()

    def stop(self) -> None:
        """Stop the daemon."""
        process = self._process()
        if process is not None:
            process.terminate()
            if not poll_until(lambda: self._process() is None, STOP_SECONDS, POLL_SECONDS):
                process.kill()
        self._record.unlink(missing_ok=True)

    def list(self) -> PortForwardList:
        """Return the current or last port forwards."""
        return records.read(self._list, PortForwardList) or PortForwardList()

    def find(self, name: str, purpose: str) -> str | None:
        """Return HOST:PORT of a port forward; None if the daemon is not running."""
        forward = self.list().find(name, purpose) if self._process() else None
        return f"{LOOPBACK}:{forward.local_port}" if forward else None

    def _process(self) -> psutil.Process | None:
        record = records.read(self._record, ProcessRecord)
        return record.process() if record else None

    def _start_daemon(self) -> None:
        self._record.unlink(missing_ok=True)
        module = "deploy.runtimes.kubernetes.port_forward_daemon"
        with self._log.open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", module, self._list, self._record],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        poll_until(lambda: self._process() or daemon.poll() is not None, START_SECONDS, POLL_SECONDS)
        if self._process() is None:
            output = self._log.read_text(encoding="utf-8", errors="replace").strip()
            raise Failed(f"Port forwarding to the cluster could not be started:\n{output}")


def _wanted(
    plan: InstallationPlan, federation_port: int, admin_port: int, before: PortForwardList, *, keep_all: bool
) -> PortForwardList:
    destinations = [(member, TELEMETRY, TELEMETRY_PORT) for member in plan.members]
    destinations += [(plan.server, FEDERATION, federation_port)]
    if admin_port != federation_port:
        destinations += [(plan.server, ADMIN, admin_port)]
    spare = iter(free_ports(len(destinations), {one.local_port for one in before.forwards}))
    forwards = []
    for member, purpose, port in destinations:
        last = before.find(member.name, purpose)
        is_kept = last is not None and (keep_all or is_free(last.local_port))
        forwards.append(
            PortForward(
                name=member.name,
                purpose=purpose,
                context=member.context,
                namespace=member.namespace,
                selector=member.selector,
                port=port,
                local_port=last.local_port if last is not None and is_kept else next(spare),
            )
        )
    return PortForwardList(forwards=tuple(forwards))
