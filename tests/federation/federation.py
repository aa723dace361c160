"""A federation under test: start it, break it and query it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import docker
import psutil
import pytest
import yaml
from docker.errors import ImageNotFound
from prometheus_client.parser import text_string_to_metric_families

from deploy.errors import FlarefleetError
from deploy.federation_files import make_kits_and_releases
from deploy.images.names import site_image
from deploy.project import Project, load_project
from deploy.runtimes.choice import open_runtime
from deploy.runtimes.process.run_folder import ProcessRunFolder
from deploy.runtimes.protocol import FederationStatus, KeepsVolumes, SiteStatus
from deploy.session import AdminKit, open_session
from deploy.tools import find_tool
from deploy.workspace import Workspace
from fl_app.contract import ENV_FORK_JOBS
from tests.federation.project_file import ADMIN, SERVER, write_project
from tests.kubernetes.cluster import CONTEXT, is_up
from tests.waiting import eventually

_Kind = TypeVar("_Kind", bound="Federation")
WITHOUT_FORKS = {"extraEnv": [{"name": ENV_FORK_JOBS, "value": "false"}]}
"""Values of the charts for parents that prepare no process for their jobs."""
_JOB_PROGRAMS = {"fl_app.launchers.server_job", "fl_app.launchers.site_job"}
__all__ = ["ADMIN", "SERVER", "Federation", "ask", "forking_jobs", "running", "set_options", "write_project"]


class BackgroundCommand(subprocess.Popen[str]):
    """A command that is killed at the end of a `with` block if it is still running."""

    def __exit__(self, *error: Any) -> None:
        self.kill()
        super().__exit__(*error)


@dataclass
class Federation:
    """A provisioned federation on one runtime.

    Args:
        folder: folder of project.yml and of the workspace.
        runtime_name: process, docker or kubernetes.
    """

    folder: Path
    runtime_name: str = "process"
    project: Project = field(init=False)
    workspace: Workspace = field(init=False)

    def __post_init__(self) -> None:
        self.provision()

    def provision(self) -> None:
        """Load project.yml, and make or update the kits."""
        self.project = load_project(self.folder / "project.yml")
        self.workspace = Workspace(self.folder / "workspace" / self.project.name)
        make_kits_and_releases(self.project, self.workspace)
        self.runtime = open_runtime(self.runtime_name, self.project, self.workspace)
        if self.runtime_name == "kubernetes":
            self._disable_forks()

    def _disable_forks(self) -> None:
        """Write own values, where there are none, with which pods start each job as a new Python process."""
        for parent in self.project.parents:
            own = self.workspace.release / parent.name / "own.yaml"
            if not own.exists():
                own.write_text(yaml.safe_dump(WITHOUT_FORKS), encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        """Replace a text in project.yml and provision again."""
        file = self.folder / "project.yml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")
        self.provision()

    def up(self, timeout: float | None = None) -> FederationStatus:
        """Start the server and the sites, and wait until all are ready."""
        return self.runtime.up() if timeout is None else self.runtime.up(timeout=timeout)

    def down(self) -> None:
        """Stop everything."""
        self.runtime.down()

    def remove(self) -> None:
        """Stop everything, and delete volumes and images."""
        if isinstance(self.runtime, KeepsVolumes):
            try:
                self.runtime.forget()
            except FlarefleetError:
                # Its fixture may end after the last test that needs the cluster, which deletes the cluster.
                if self.runtime_name != "kubernetes" or is_up(CONTEXT):
                    raise
        else:
            self.down()
        if self.runtime_name == "docker":
            for name in [parent.name for parent in self.project.parents]:
                with suppress(ImageNotFound):
                    docker.from_env().images.remove(site_image(self.project, name))

    def status(self) -> FederationStatus:
        """Return the current status."""
        return self.runtime.status()

    def site(self, name: str) -> SiteStatus:
        """Return the current status of a server or site."""
        return next(site for site in self.status().sites if site.name == name)

    def kit(self, name: str) -> Path:
        """Return the startup kit of a participant."""
        return self.workspace.kit(name)

    def kill(self, name: str) -> None:
        """Kill NVFlare's parent of a server or site that runs as a process; end its container otherwise."""
        if self.runtime_name == "process":
            self.parent(name).kill()
        elif self.runtime_name == "kubernetes":
            namespace, _, pod = self.site(name).where.split()[-1].partition("/")
            kill = "import os; os.kill(1, 15)"  # the kernel ignores a SIGKILL to process 1
            subprocess.run(
                [str(find_tool("kubectl")), "exec", "-n", namespace, pod, "--", "python3", "-c", kill],
                check=False,
                capture_output=True,
            )
        else:
            subprocess.run(
                ["docker", "kill", self.site(name).where.split()[-1]], check=True, capture_output=True
            )

    def lose(self, name: str) -> None:
        """Kill every process of a server or site that runs as a process, so that nothing starts it again."""
        supervisor = self.supervisor(name)
        with self.run_folder.changing(name):
            self.run_folder.write_owner(name, None)
        supervisor.suspend()
        for process in [*supervisor.children(recursive=True), supervisor]:
            process.kill()

    def parent(self, name: str) -> psutil.Process:
        """Return NVFlare's parent of a server or site that runs as a process."""
        return self.supervisor(name).children()[0]

    def job_processes(self, name: str) -> list[psutil.Process]:
        """Return the job processes of a server or site that runs as a process."""
        return [child for child in self.parent(name).children() if _is_job(child)]

    def supervisor(self, name: str) -> psutil.Process:
        """Return the process that supervises NVFlare's parent."""
        record = self.run_folder.record(name)
        assert record is not None
        process = record.process()
        assert process is not None, f"{name} is not running"
        return process

    @property
    def run_folder(self) -> ProcessRunFolder:
        """Return the run folder of the process runtime."""
        return ProcessRunFolder(self.workspace.run("process"))

    def ask(self, name: str, path: str) -> tuple[int, str]:
        """Return the HTTP status and body of a telemetry path of a server or site."""
        url = urlsplit(self.site(name).telemetry_url or "")
        return ask(url.hostname or "", url.port or 0, path)

    def start_times(self) -> dict[str, float | None]:
        """Return when the parent of the server and of each site was started."""
        return {
            site.name: self.metric(site.name, "process_start_time_seconds") for site in self.status().sites
        }

    def metric(self, name: str, metric: str, **labels: str) -> float | None:
        """Return the value of a metric with these labels, from the telemetry of a server or site."""
        for family in text_string_to_metric_families(self.ask(name, "/metrics")[1]):
            for sample in family.samples:
                if sample.name == metric and labels.items() <= sample.labels.items():
                    return sample.value
        return None

    def flarefleet(
        self, *arguments: str, timeout: float = 300.0, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line on this federation, with a timeout in seconds and text for its stdin."""
        return subprocess.run(
            self.command(*arguments),
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            cwd=self.folder,
            env=self.environment(),
        )

    def run(
        self, *arguments: str, timeout: float = 300.0, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed."""
        done = self.flarefleet(*arguments, timeout=timeout, typed=typed)
        assert done.returncode == 0, done.stderr
        return done

    def start(self, *arguments: str) -> BackgroundCommand:
        """Start a command in the background, in a process group of its own."""
        return BackgroundCommand(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def submit(self, job: str, **parameters: object) -> str:
        """Submit a job of the kit, and return its id without waiting for it."""
        done = self.run("submit", job, "--detach", *set_options(parameters))
        return done.stdout.strip()

    def submit_folder(self, job: Path) -> str:
        """Submit an exported job, and return its id without waiting for it."""
        with open_session(AdminKit.read(self.kit(ADMIN))) as session:
            return session.submit(job, uuid.uuid4().hex)

    def wait_for_job(self, job_id: str, status: str, seconds: float = 240) -> None:
        """Wait until a job has this status."""
        kit = AdminKit.read(self.runtime.admin_kit(ADMIN))
        with ExitStack() as stack:
            session = eventually(  # the server may have been killed
                lambda: stack.enter_context(open_session(kit)),
                60,
                "the server answers",
                tolerating=[FlarefleetError],
            )
            eventually(
                lambda: session.job(job_id).status == status, seconds, f"the job is {status}", pause=0.3
            )

    def environment(self) -> dict[str, str]:
        """Return the environment of the command line."""
        return dict(os.environ)

    def command(self, *arguments: str) -> list[str]:
        """Return the arguments of a command line."""
        return [
            *(sys.executable, "-m", "deploy.cli.app"),
            *("--project", str(self.folder / "project.yml"), "--workspace", str(self.folder / "workspace")),
            *arguments,
        ]


def _is_job(process: psutil.Process) -> bool:
    try:
        return bool(_JOB_PROGRAMS & set(process.cmdline()))
    except psutil.Error:  # it has just ended
        return False


@contextmanager
def forking_jobs() -> Iterator[None]:
    """Let the parents that start in the block prepare a process from which they fork their jobs."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(ENV_FORK_JOBS, "true")
        yield


@contextmanager
def running(folder: Path, kind: type[_Kind], **project: Any) -> Iterator[_Kind]:
    """Run a federation of processes for the duration of the block.

    Args:
        folder: folder of project.yml.
        kind: class of the federation.
        project: arguments of `write_project`.
    """
    federation = kind(write_project(folder, **project).parent)
    try:
        federation.up()
        yield federation
    finally:
        federation.down()


def set_options(parameters: Mapping[str, object]) -> list[str]:
    """Return the options of `flarefleet submit` for these parameters of a job."""
    return [word for name, value in parameters.items() for word in ("--set", f"{name}={value}")]


def ask(host: str, port: int, path: str) -> tuple[int, str]:
    """Return the status and body of a GET request."""
    with closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
