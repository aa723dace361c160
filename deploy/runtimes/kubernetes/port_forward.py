"""The doors: ports of this machine that lead into pods, held open by one small process (`forwarding`).

A pod may be replaced, its door stays. Who opens a door needs no more than the kubeconfig: no node port, no
load balancer, and no rule of a network policy.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel

from deploy.errors import Failed
from deploy.hosts import LOOPBACK
from deploy.runtimes import records
from deploy.runtimes.ports import free_ports, is_free
from deploy.runtimes.records import Record
from fl_app.contract import TELEMETRY_PORT

if TYPE_CHECKING:
    from deploy.runtimes.kubernetes.plan import Plan

OPEN_SECONDS = 60.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.05
FEDERATION, ADMIN, TELEMETRY = "federation", "admin", "telemetry"


class Door(BaseModel, frozen=True):
    """A port of this machine, and where it leads."""

    name: str
    """Of the server or site."""
    purpose: str
    context: str
    namespace: str
    selector: str
    port: int
    """In the pod."""
    local_port: int


class DoorList(BaseModel, frozen=True):
    """All doors of a federation."""

    doors: tuple[Door, ...] = ()

    def find(self, name: str, purpose: str) -> Door | None:
        """The door to a port of a server or site."""
        return next((door for door in self.doors if (door.name, door.purpose) == (name, purpose)), None)


class Doors:
    """The doors of a federation.

    Args:
        folder: run/kubernetes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._list = folder / "doors.json"
        self._record = folder / "forwarding.json"
        self._log = folder / "forwarding.log"
        self._holder: subprocess.Popen[bytes] | None = None

    def open(self, plan: Plan, federation_port: int, admin_port: int) -> None:
        """Begin to open them, unless they are; each keeps its port while that is free."""
        before = self.list()
        running = self._process()
        wanted = _wanted(plan, federation_port, admin_port, before, keep_all=running is not None)
        if running is not None:
            if wanted == before:
                return
            self.close()
        records.write(self._list, wanted)
        self._start()

    def wait_until_open(self) -> None:
        """Wait for the process that holds them to listen.

        Raises:
            Failed: it does not start.
        """
        deadline = time.monotonic() + OPEN_SECONDS
        while self._process() is None:
            ended = self._holder is not None and self._holder.poll() is not None
            if ended or time.monotonic() > deadline:
                said = self._log.read_text(encoding="utf-8", errors="replace").strip()
                raise Failed(f"The way into the cluster could not be opened from this machine:\n{said}")
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """End the process that holds them."""
        process = self._process()
        if process is not None:
            process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while self._process() is not None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if self._process() is not None:
                process.kill()
        self._record.unlink(missing_ok=True)

    def list(self) -> DoorList:
        """Those that there are, or were."""
        return records.read(self._list, DoorList) or DoorList()

    def find(self, name: str, purpose: str) -> str | None:
        """HOST:PORT of an open door; None if it is closed."""
        door = self.list().find(name, purpose) if self._process() else None
        return f"{LOOPBACK}:{door.local_port}" if door else None

    def _process(self) -> psutil.Process | None:
        record = records.read(self._record, Record)
        return record.process() if record else None

    def _start(self) -> None:
        self._record.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            self._holder = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "deploy.runtimes.kubernetes.port_forward_daemon",
                    self._list,
                    self._record,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _wanted(
    plan: Plan, federation_port: int, admin_port: int, before: DoorList, *, keep_all: bool
) -> DoorList:
    ends = [(member, TELEMETRY, TELEMETRY_PORT) for member in plan.members]
    ends += [(plan.server, FEDERATION, federation_port)]
    if admin_port != federation_port:
        ends += [(plan.server, ADMIN, admin_port)]
    spare = iter(free_ports(len(ends)))
    doors = []
    for member, purpose, port in ends:
        old = before.find(member.name, purpose)
        kept = old.local_port if old and (keep_all or is_free(old.local_port)) else next(spare)
        doors.append(
            Door(
                name=member.name,
                purpose=purpose,
                context=member.context,
                namespace=member.namespace,
                selector=member.selector,
                port=port,
                local_port=kept,
            )
        )
    return DoorList(doors=tuple(doors))
