"""A federation under faults: its project, its jobs and their results."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos.kills import SERVER, Fault
from benchmarks.chaos.trainings import Training, parse
from benchmarks.environment import command_environment
from benchmarks.project import ADMIN
from deploy.errors import FlarefleetError
from deploy.federation_files import make_kits_and_releases
from deploy.project import load_project
from deploy.runtimes.choice import remember
from deploy.runtimes.protocol import Runtime
from deploy.session import AdminKit, open_session
from deploy.session.session import Job
from deploy.workspace import Workspace

JOB = Path(__file__).with_name("job")
COMMAND_SECONDS = 120.0
UP_SECONDS = 120.0
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class JobSpec:
    """Parameters of the job `chaos`."""

    rounds: int = 10
    seconds: float = 1.0
    numbers: int = 1000
    client: str = "numpy"

    @property
    def settings(self) -> list[str]:
        """Options of `flarefleet submit`."""
        return [word for name, value in vars(self).items() for word in ("--set", f"{name}={value}")]


class ChaosFederation(ABC):
    """A federation on one runtime, with or without survival.

    Args:
        folder: new folder for its files.
        survives: False disables survival: NVFlare's own behaviour.
        sites: number of sites.
    """

    runtime: Runtime
    up_seconds = UP_SECONDS
    loses_output = False
    """Whether the last lines of a site may go before they are read. Then the final model alone proves that no
    round is missing."""

    def __init__(self, folder: Path, survives: bool = True, sites: int = 2) -> None:
        self.folder = folder
        self.survives = survives
        self.sites = tuple(f"site-{number}" for number in range(1, sites + 1))
        self.parts = (SERVER, *self.sites)
        folder.mkdir(parents=True)
        self.write_project()
        self.project = load_project(folder / "project.yml")
        self.workspace = Workspace(folder / "workspace" / self.project.name)
        make_kits_and_releases(self.project, self.workspace)
        self.runtime = self.open_runtime()
        self._lines: set[str] = set()

    @abstractmethod
    def write_project(self) -> None:
        """Write project.yml."""

    @abstractmethod
    def open_runtime(self) -> Runtime:
        """Return the runtime."""

    @abstractmethod
    def mount(self, name: str) -> None:
        """Put the workspace of a server or site on a small volume, before `up`."""

    @abstractmethod
    def prepare(self, fault: Fault, name: str) -> Callable[[], object]:
        """Find the targets of a fault of a server or site; return what begins it."""

    @abstractmethod
    def end(self, fault: Fault, name: str) -> None:
        """End a fault that has a duration."""

    @abstractmethod
    def before_job(self, mid_upload: bool) -> None:
        """Make the network slow for uploads, or fast."""

    @abstractmethod
    def wait_for_upload(self, site: str) -> None:
        """Wait until the site is in the middle of sending its model."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the federation for the duration of the block."""
        try:
            self.up()
            yield
        finally:
            self.down()
            self.close()

    @abstractmethod
    def close(self) -> None:
        """Remove what `down` keeps outside of the folder."""

    def deployment(self) -> dict[str, Any]:
        """Return the section `deployment` of project.yml."""
        return {"deployment": {} if self.survives else {"survival": {"enabled": False}}}

    def up(self) -> None:
        """Start what is not running, and wait until all are ready."""
        remember(self.workspace, self.runtime.name)
        self.runtime.up(timeout=self.up_seconds)

    def down(self) -> None:
        """Stop everything that belongs to the federation."""
        self.runtime.down()

    def is_ready(self) -> bool:
        """Return whether the server and all sites are ready."""
        return self.runtime.status().is_ready

    def submit(self, spec: JobSpec) -> str:
        """Submit the job and return its id."""
        return self.flarefleet("submit", str(JOB), "--detach", *spec.settings).strip()

    def trainings(self, job_id: str) -> list[Training]:
        """Return the trainings of a job so far. Lines that were seen once are kept if their source goes."""
        for site in self.sites:
            with suppress(FlarefleetError, OSError, subprocess.SubprocessError):
                self._lines |= {line for line in self.output(site) if "chaos: " in line}
        return [one for one in parse(self._lines) if one.job == job_id]

    def output(self, name: str) -> Iterator[str]:
        """Yield the lines of the output of a server or site."""
        return self.runtime.logs(name)

    def admin_kit(self) -> AdminKit:
        """Return the administrator's kit."""
        return AdminKit.read(self.runtime.admin_kit(ADMIN))

    def fetch(self, job_id: str) -> Path:
        """Return the folder of a job's results."""
        into = self.folder / "results" / job_id
        self.flarefleet("fetch", job_id, str(into))
        return into

    def models(self, job_id: str) -> dict[str, bytes]:
        """Return the files of a finished job's models by their names."""
        folder = self.fetch(job_id) / "model"
        return {str(file.relative_to(folder)): _content(file) for file in folder.rglob("*") if file.is_file()}

    def reasons(self, job_id: str) -> str:
        """Return what the command line says about a job."""
        return self.flarefleet("watch", job_id, "--timeout", "1", may_fail=True)

    def keep_logs(self, into: Path) -> None:
        """Copy the output of all parts to a folder."""
        into.mkdir(parents=True, exist_ok=True)
        for name in self.parts:
            with suppress(Exception):
                lines = "\n".join(line.rstrip("\n") for line in self.output(name))
                (into / f"{name}.log").write_text(lines)
        with suppress(OSError):
            shutil.copytree(self.folder / "results", into / "results", dirs_exist_ok=True)

    def flarefleet(self, *arguments: str, may_fail: bool = False) -> str:
        """Return the output of a command."""
        command = [sys.executable, "-m", "deploy.cli.app", "--project", str(self.folder / "project.yml")]
        done = subprocess.run(
            [*command, "--workspace", str(self.folder / "workspace"), *arguments],
            cwd=Path(__file__).parents[2],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        if may_fail:
            return done.stdout + done.stderr
        if done.returncode:
            raise RuntimeError(f"flarefleet {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def environment(self) -> Mapping[str, str]:
        """Return the environment of commands."""
        return command_environment()


class Observer:
    """The status of a job, through one session that is opened again when the server comes back."""

    def __init__(self, federation: ChaosFederation) -> None:
        self._federation = federation
        self._stack: Any = None
        self._session: Any = None

    def job(self, job_id: str) -> Job | None:
        """Return the job; None if the server does not answer."""
        return self._ask(lambda session: session.job(job_id))

    def job_ids(self) -> set[str] | None:
        """Return the ids of all jobs; None if the server does not answer."""
        return self._ask(lambda session: {job.id for job in session.jobs()})

    def abort(self, job_id: str) -> None:
        """Abort a job, if the server answers."""
        self._ask(lambda session: session.abort(job_id))

    def close(self) -> None:
        """Log out."""
        if self._stack is not None:
            stack, self._stack, self._session = self._stack, None, None
            with suppress(Exception):
                stack.__exit__(None, None, None)

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            if self._session is None:
                self._stack = open_session(self._federation.admin_kit())
                self._session = self._stack.__enter__()
            return question(self._session)
        except Exception:  # the server is down, starting, or has forgotten the session
            self.close()
            return None


def wait_until(condition: Callable[[], Any], seconds: float) -> Any:
    """Return the first true result of a condition; its last result after a timeout."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found


def _content(file: Path) -> bytes:
    """Return the numbers of a model; a file of PyTorch contains its own name, too."""
    if file.suffix != ".pt":
        return file.read_bytes()
    import torch

    document = torch.load(file, weights_only=True)
    tensors = document.get("model", document)
    return b"".join(name.encode() + tensors[name].numpy().tobytes() for name in sorted(tensors))
