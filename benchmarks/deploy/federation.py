"""Common parts of both methods: the project, the measurement and the job."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.deploy.job import JOBS, Times
from benchmarks.deploy.job import run as run_job
from benchmarks.environment import command_environment
from benchmarks.project import NAME, write_project
from deploy.tools import find_tool

READY_WITHIN = 180.0


class InCluster(ABC):
    """A provisioned federation in the current cluster, not yet installed.

    Args:
        folder: folder for its files.
        image: image of every pod.
        launcher: process or pod.
        count: number of sites.
    """

    def __init__(self, folder: Path, image: str, launcher: str, count: int) -> None:
        self.folder = folder
        self.image = image
        self.launcher = launcher
        self.sites = tuple(f"site-{number}" for number in range(1, count + 1))
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Prepare the installation. This is not timed."""

    def up(self) -> tuple[float, float]:
        """Install, and wait until all are ready.

        Returns:
            Seconds until the last site was registered, and until all were ready.
        """
        begin = datetime.now(timezone.utc)
        self.install()
        ready = datetime.now(timezone.utc)
        registered = self._last_registration()
        return round((registered - begin).total_seconds(), 1), round((ready - begin).total_seconds(), 1)

    @abstractmethod
    def install(self) -> None:
        """Install, and wait until the operator knows that all are ready."""

    @abstractmethod
    def down(self) -> float:
        """Uninstall, wait until all pods are gone, and return the seconds."""

    @abstractmethod
    def admin_kit(self) -> contextlib.AbstractContextManager[Path]:
        """Yield an administrator's kit that reaches the server."""

    def clean(self) -> None:
        """Delete namespaces and volumes, so that the next turn does not wait for them."""
        names = [self.namespace(name) for name in ("server", *self.sites)]
        kubectl("delete", "namespace", "--ignore-not-found", "--wait=true", *names)
        claimants = "jsonpath={.items[*].spec.claimRef.namespace}"
        deadline = time.monotonic() + READY_WITHIN
        while set(names) & set(kubectl("get", "persistentvolumes", "-o", claimants).split()):
            if time.monotonic() > deadline:
                raise SystemExit("the volumes are still in use: kubectl get persistentvolumes")
            time.sleep(0.5)

    def server_log(self) -> str:
        """Return the server's log with timestamps."""
        where = ("-n", self.namespace("server"))
        pods = kubectl("get", "pods", *where, "-o", "name").split()
        look = [str(find_tool("kubectl")), "logs", *where, "--all-containers", "--timestamps", *pods[:1]]
        return subprocess.run(look, capture_output=True, text=True, check=False).stdout

    def _last_registration(self) -> datetime:
        lines = self.server_log().splitlines()
        last = next(line for line in lines if f"Total clients: {len(self.sites)}" in line)
        return datetime.strptime(last[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)

    def run_job(self, job: str, method: str) -> Times:
        exported = JOBS[job][method](self.sites, self.folder / "jobs")
        with self.admin_kit() as kit:
            return run_job(exported, kit)

    def namespace(self, name: str) -> str:
        return f"{NAME}-{name}"

    def write_project(self, server: Mapping[str, Any], **settings: Any) -> None:
        """Write project.yml with further keys of the server and of the top level."""
        server = {"name": "server", "fed_learn_port": 8002, **server}
        write_project(self.folder, server, self.sites, **settings)


def run(*command: str, cwd: Path | None = None) -> str:
    """Return the output of a program, which must succeed."""
    done = subprocess.run(
        command, cwd=cwd, env=command_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def kubectl(*arguments: str) -> str:
    return run(str(find_tool("kubectl")), *arguments)


def helm(*arguments: str) -> str:
    return run(str(find_tool("helm")), *arguments)


def program(name: str) -> str:
    """Return the path of a program in this Python environment."""
    return str(Path(sys.executable).with_name(name))


@contextlib.contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Yield a list to which the duration of the block is added."""
    seconds: list[float] = []
    begin = time.monotonic()
    yield seconds
    seconds.append(round(time.monotonic() - begin, 1))
