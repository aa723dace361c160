"""Two federations on this machine, each with a server and two sites: stock NVFlare and Flarefleet."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.project import ADMIN, NAME, write_project
from deploy.ports import free_ports
from fl_app import contract

SITES = ("site-1", "site-2")
READY_WITHIN = 120.0


@dataclass(frozen=True)
class Run:
    """Measurements of one job."""

    seconds: float
    """From submission to result."""
    cpu_seconds: float
    """CPU seconds of the command and of all processes of the federation."""
    log: str
    """Log of the server's job process."""


class CpuMeter:
    """CPU seconds of this process's children and of some process trees, since its creation."""

    def __init__(self, roots: list[int]) -> None:
        self._roots = roots
        self._before = self._now()

    def elapsed(self) -> float:
        return self._now() - self._before

    def _now(self) -> float:
        spent = os.times()
        total = spent.children_user + spent.children_system
        for root in self._roots:
            for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total


class Stock:
    """NVFlare as `nvflare provision` creates it, started as in its documentation.

    Args:
        folder: a new folder.
        builders: further builders of NVFlare, relative to its package of builders.
        sites: names of the sites.
        with_sites: whether `up` starts the sites, and not the server alone.
    """

    def __init__(
        self,
        folder: Path,
        builders: Iterable[str] = (),
        sites: Sequence[str] = SITES,
        *,
        with_sites: bool = True,
    ) -> None:
        self.folder = folder
        self.sites = sites
        self._started = sites if with_sites else ()
        self._builders = builders
        self.kits = folder / "workspace" / NAME / "prod_00"
        self._parents: dict[str, int] = {}

    @contextmanager
    def up(self) -> Iterator[None]:
        self.folder.mkdir()
        _write_project(self.folder, self.sites, self._builders)
        provision = [_program("nvflare"), "provision", "-p", "project.yml", "-w", "workspace"]
        subprocess.run(provision, cwd=self.folder, check=True, capture_output=True)
        with ExitStack() as stack:
            for name in ("server", *self._started):
                stack.enter_context(self._process(name))
            self._await_sites()
            yield

    def roots(self) -> dict[str, int]:
        """Return the root process of each participant."""
        return dict(self._parents)

    def run_job(
        self, job: str, rounds: int, *, sites: Sequence[str] | None = None, **parameters: object
    ) -> Run:
        """Run a job to its result on these sites (default: all), with parameters of `stock_job.py`.

        Only `fibonacci` runs on a part of the sites.
        """
        empty = self.folder / "cwd"
        empty.mkdir(exist_ok=True)
        script = Path(__file__).with_name("stock_job.py")
        command = [sys.executable, str(script), job, str(rounds), str(self.kits / ADMIN)]
        command += [*(sites or self.sites)]
        command += [word for name, value in parameters.items() for word in (f"--{name}", str(value))]
        cpu, begin = CpuMeter(list(self._parents.values())), time.monotonic()
        done = subprocess.run(command, cwd=empty, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begin
        result = next((line for line in done.stdout.splitlines() if line.startswith("result: ")), None)
        if "COMPLETED" not in done.stdout or result is None:
            raise SystemExit(f"stock job failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        log = Path(result.removeprefix("result: ")) / "workspace" / "log.txt"
        return Run(seconds, cpu.elapsed(), log.read_text())

    @contextmanager
    def _process(self, name: str) -> Iterator[None]:
        kit = self.kits / name
        self._keep_storage(kit)
        role, module = (
            ("server", "server.server_train") if name == "server" else ("client", "client.client_train")
        )
        command = [sys.executable, "-u", "-m", f"nvflare.private.fed.app.{module}"]
        command += ["-m", str(kit), "-s", f"fed_{role}.json", "--set", "secure_train=true", f"org={NAME}"]
        command += ["config_folder=config", *([] if role == "server" else [f"uid={name}"])]
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, cwd=kit, stdout=log, stderr=log, start_new_session=True)
            self._parents[name] = process.pid
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _keep_storage(self, kit: Path) -> None:
        """Move stock NVFlare's storage from /tmp/nvflare to the folder of this benchmark."""
        for template in (kit / "local").glob("*.default"):
            text = template.read_text().replace("/tmp/nvflare", str(self.folder / "storage"))
            text = text.replace('"max_num_clients": 100', f'"max_num_clients": {max(100, len(self.sites))}')
            template.with_suffix("").write_text(text)

    def _await_sites(self) -> None:
        log = self.folder / "server.log"
        deadline = time.monotonic() + READY_WITHIN
        ready = f"Total clients: {len(self._started)}" if self._started else "Server started"
        while ready not in log.read_text():
            if time.monotonic() > deadline:
                raise SystemExit(f"stock NVFlare is not ready:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)


class Flarefleet:
    """Flarefleet: `provision`, `up`, `submit --fetch`.

    Args:
        folder: a new folder.
        sites: names of the sites.
        environment: further variables of `up`.
        with_sites: whether `up` starts the sites, and not the server alone.
    """

    def __init__(
        self,
        folder: Path,
        sites: Sequence[str] = SITES,
        environment: Mapping[str, str] | None = None,
        *,
        with_sites: bool = True,
    ) -> None:
        self.folder = folder
        self.sites = sites
        self.kits = folder / "workspace" / NAME / "kits"
        self._started = () if with_sites else ("server",)
        self._environment = {**os.environ, **(environment or {})}

    @contextmanager
    def up(self) -> Iterator[None]:
        self.folder.mkdir()
        _write_project(self.folder, self.sites)
        self._flarefleet("provision")
        try:
            self._flarefleet("up", "--runtime", "process", *self._started)
            yield
        finally:
            self._flarefleet("down")

    def run_job(
        self,
        job: str,
        rounds: int | None = None,
        *,
        sites: Sequence[str] | None = None,
        **parameters: object,
    ) -> Run:
        """Run a job to its result on these sites (default: all); with its defaults if `rounds` is None."""
        results = self.folder / "results"
        shutil.rmtree(results, ignore_errors=True)
        cpu, begin = CpuMeter(list(self.roots().values())), time.monotonic()
        given = parameters if rounds is None else {"rounds": rounds, **parameters}
        settings = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
        settings += [word for site in sites or () for word in ("--site", site)]
        self._flarefleet("submit", job, *settings, "--fetch", str(results))
        seconds = time.monotonic() - begin
        return Run(seconds, cpu.elapsed(), (results / "logs" / "server.log.txt").read_text())

    def roots(self) -> dict[str, int]:
        """Return the root process of each participant: the supervisor of its parent."""
        found: dict[str, int] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                kit, above = _kit(process), process.parent()
                if self.folder in kit.parents and (above is None or _kit(above) != kit):
                    found[kit.name] = process.pid
        return found

    def _flarefleet(self, *arguments: str) -> None:
        command = [_program("flarefleet"), *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def _kit(process: psutil.Process) -> Path:
    return Path(process.environ().get(contract.ENV_KIT, ""))


def _program(name: str) -> str:
    """Return a program of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def _write_project(folder: Path, sites: Sequence[str], builders: Iterable[str] = ()) -> None:
    server = {"name": "server", "fed_learn_port": free_ports(1)[0]}
    hosts = {"default_host": "localhost", "host_names": ["localhost"]}
    write_project(folder, {**server, **hosts}, sites, builders=builders)
