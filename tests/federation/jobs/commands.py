"""The federation of these tests, and a job that needs more sites than it has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psutil

from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import JobSites, export_process
from tests.federation.federation import ADMIN, Federation

SITES = ("site-1", "site-2")
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BIN = Path(sys.executable).parent


class JobsFederation(Federation):
    """A server and two sites as processes, with an administrator of the role `lead`."""

    @property
    def admin_kit(self) -> Path:
        """The kit of its only administrator."""
        return self.kit(ADMIN)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the installed program."""
        return [str(BIN / "flarefleet"), *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def job_process(self, site: str, job_id: str) -> psutil.Process | None:
        """Return the job process at a site; None if there is none."""
        for process in psutil.process_iter(["cmdline"]):
            if {"fl_app.launchers.site_job", job_id, site} <= set(process.info["cmdline"] or ()):
                return process
        return None


def probe_for_five_sites(into: Path, **props: float) -> Path:
    """Export a job with these properties that needs more sites than the federation has."""
    job = find_job("probe")
    with export_process(job) as exporting:
        exported = exporting.export(read_parameters(job, ()), JobSites(SITES, chosen=False), into)
    meta = exported.folder / "meta.json"
    document = {**json.loads(meta.read_text()), "min_clients": 5, "custom_props": props}
    meta.write_text(json.dumps(document))
    return exported.folder
