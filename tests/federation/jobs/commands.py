"""The federation of these tests, and a job that needs more sites than it has."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import psutil
import pytest

from deploy.cli.app import main
from tests.federation import guarded_jobs
from tests.federation.federation import ADMIN, Federation
from tests.processes import is_running

SITES = ("site-1", "site-2")
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BIN = Path(sys.executable).parent
SESSION_COMMANDS = ("jobs", "submit", "watch", "fetch", "abort", "export")


def run_here(
    *arguments: str, folder: Path, typed: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, which has imported NVFlare already."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])  # a command adds the folder of a job
        patch.setattr(sys, "argv", ["flarefleet", *arguments])
        patch.setattr(sys, "stdin", io.StringIO(typed))
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as exited:
            main()
    code = exited.value.code
    return subprocess.CompletedProcess(arguments, int(code or 0), out.getvalue(), err.getvalue())


class JobsFederation(Federation):
    """A server and two sites as processes, with an administrator of the role `lead`."""

    @property
    def admin_kit(self) -> Path:
        """The kit of its only administrator."""
        return self.kit(ADMIN)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the installed program."""
        return [str(BIN / "flarefleet"), *arguments]

    def flarefleet(
        self, *arguments: str, timeout: float = 300.0, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line; in this process, if it only opens a session."""
        if arguments[0] in SESSION_COMMANDS:
            return run_here(*arguments, folder=self.folder, typed=typed)
        return super().flarefleet(*arguments, timeout=timeout, typed=typed)

    def job_process(self, name: str, job_id: str) -> psutil.Process | None:
        """Return the job process of the server or a site; None if there is none."""
        processes = [one for one in self.job_processes(name) if is_running(one) and job_id in one.cmdline()]
        return processes[0] if processes else None


def numpy_job(into: Path) -> Path:
    """Export a job for both sites."""
    return guarded_jobs.export(guarded_jobs.numpy_job("for-more-sites", ""), into)


def job_with_controller(name: str, into: Path) -> Path:
    """Export a job whose controller is a class of `ending_controllers`."""
    job = numpy_job(into)
    custom = job / "app" / "custom"
    custom.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("ending_controllers.py"), custom)
    file = job / "app" / "config" / "config_fed_server.json"
    config = json.loads(file.read_text())
    config["workflows"] = [{"id": "controller", "path": f"ending_controllers.{name}", "args": {}}]
    file.write_text(json.dumps(config))
    return job


def job_for_five_sites(into: Path, **props: float) -> Path:
    """Export a job with these properties that needs more sites than the federation has."""
    return guarded_jobs.for_more_sites(numpy_job(into), 5, **props)
