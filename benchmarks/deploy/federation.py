"""What both ways do the same: a project of a server and some sites, and a job on it through one admin kit."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from benchmarks.deploy.job import JOBS, Times
from benchmarks.deploy.job import run as run_job
from benchmarks.environment import users_environment
from deploy.tools import find_tool

ADMIN = "admin@nvidia.com"
PREFIX = "bench"
READY_WITHIN = 180.0


class InCluster(ABC):
    """A federation in the current cluster, provisioned and not yet installed.

    Args:
        folder: for its files.
        image: what every pod runs.
        launcher: process or pod.
        count: how many sites.
    """

    def __init__(self, folder: Path, image: str, launcher: str, count: int) -> None:
        self.folder = folder
        self.image = image
        self.launcher = launcher
        self.sites = tuple(f"site-{number}" for number in range(1, count + 1))
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """All that is done once, before anything is installed; not timed."""

    def up(self) -> tuple[float, float]:
        """Install, and wait until all is ready.

        Returns:
            The seconds until the last site was registered, and those in all.
        """
        begin = datetime.now(timezone.utc)
        self.install()
        ready = datetime.now(timezone.utc)
        registered = self._last_registration()
        return round((registered - begin).total_seconds(), 1), round((ready - begin).total_seconds(), 1)

    @abstractmethod
    def install(self) -> None:
        """Install, and wait until every site is registered and that is known."""

    @abstractmethod
    def down(self) -> float:
        """Uninstall, and wait until no pod is left; the seconds that took."""

    @abstractmethod
    def admin_kit(self) -> contextlib.AbstractContextManager[Path]:
        """An administrator's kit that reaches the server."""

    def clean(self) -> None:
        """Leave nothing behind; while volumes were being emptied, the next turn's would have to wait."""
        names = [self.namespace(name) for name in ("server", *self.sites)]
        kubectl("delete", "namespace", "--ignore-not-found", "--wait=true", *names)
        claimants = "jsonpath={.items[*].spec.claimRef.namespace}"
        deadline = time.monotonic() + READY_WITHIN
        while set(names) & set(kubectl("get", "persistentvolumes", "-o", claimants).split()):
            if time.monotonic() > deadline:
                raise SystemExit("the volumes of the turn before do not go: kubectl get persistentvolumes")
            time.sleep(0.5)

    def server_log(self) -> str:
        """What the server has written so far, each line with Kubernetes' own time."""
        where = ("-n", self.namespace("server"))
        pods = kubectl("get", "pods", *where, "-o", "name").split()
        look = [str(find_tool("kubectl")), "logs", *where, "--all-containers", "--timestamps", *pods[:1]]
        return subprocess.run(look, capture_output=True, text=True, check=False).stdout

    def _last_registration(self) -> datetime:
        lines = self.server_log().splitlines()
        told = next(line for line in lines if f"Total clients: {len(self.sites)}" in line)
        return datetime.strptime(told[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)

    def run_job(self, job: str, way: str) -> Times:
        exported = JOBS[job][way](self.sites, self.folder / "jobs")
        with self.admin_kit() as kit:
            return run_job(exported, kit)

    def namespace(self, name: str) -> str:
        return f"{PREFIX}-{name}"

    def write_project(self, **further: Any) -> None:
        server = {"name": "server", "type": "server", "org": "bench", "fed_learn_port": 8002}
        document = {
            "api_version": 3,
            "name": PREFIX,
            "description": "a server and some sites",
            "participants": [
                {**server, **further.pop("server", {})},
                *({"name": name, "type": "client", "org": "bench"} for name in self.sites),
                {"name": ADMIN, "type": "admin", "org": "bench", "role": "project_admin"},
            ],
            "builders": [
                {"path": "nvflare.lighter.impl.workspace.WorkspaceBuilder"},
                {
                    "path": "nvflare.lighter.impl.static_file.StaticFileBuilder",
                    "args": {"config_folder": "config"},
                },
                {"path": "nvflare.lighter.impl.cert.CertBuilder"},
            ],
            **further,
        }
        (self.folder / "project.yml").write_text(yaml.safe_dump(document, sort_keys=False))


def run(*command: str, cwd: Path | None = None) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(
        command, cwd=cwd, env=users_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def kubectl(*arguments: str) -> str:
    return run(str(find_tool("kubectl")), *arguments)


def helm(*arguments: str) -> str:
    return run(str(find_tool("helm")), *arguments)


def program(name: str) -> str:
    """A program of this Python's own environment."""
    return str(Path(sys.executable).with_name(name))


@contextlib.contextmanager
def stopwatch() -> Iterator[list[float]]:
    """The seconds of a block, in the list when it has ended."""
    seconds: list[float] = []
    begin = time.monotonic()
    yield seconds
    seconds.append(round(time.monotonic() - begin, 1))
