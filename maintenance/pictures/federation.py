"""A federation of processes that runs jobs under a Prometheus, for pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.monitoring.monitor import monitoring
from deploy.ports import free_ports
from deploy.project import load_project
from deploy.runtimes.choice import open_runtime
from deploy.workspace import Workspace

NAME = "hospitals"
SCRAPE_SECONDS = 2
_PROJECT = """\
api_version: 3
name: {name}
participants:
  - {{name: flare-server, type: server, org: consortium, fed_learn_port: {port}, default_host: localhost}}
  - {{name: hospital-1, type: client, org: hospital_1}}
  - {{name: hospital-2, type: client, org: hospital_2}}
  - {{name: hospital-3, type: client, org: hospital_3}}
  - {{name: admin@hospitals.example, type: admin, org: consortium, role: project_admin}}
builders:
  - {{path: nvflare.lighter.impl.workspace.WorkspaceBuilder, args: {{template_file: [master_template.yml]}}}}
  - {{path: nvflare.lighter.impl.static_file.StaticFileBuilder, args: {{config_folder: config}}}}
  - {{path: nvflare.lighter.impl.cert.CertBuilder, args: {{root_valid_days: 3650}}}}
  - {{path: nvflare.lighter.impl.signature.SignatureBuilder}}
"""


@dataclass(frozen=True)
class Federation:
    """A running federation.

    Args:
        folder: the folder of project.yml.
        prometheus: URL of its Prometheus.
    """

    folder: Path
    prometheus: str

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command of flarefleet and return its output."""
        return _flarefleet(self.folder, *words, check=check)


@contextmanager
def federation(folder: Path) -> Iterator[Federation]:
    """Provision and start a federation under a Prometheus; stop both at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    port, metrics, boards = free_ports(3)
    (folder / "project.yml").write_text(_PROJECT.format(name=NAME, port=port), encoding="utf-8")
    _flarefleet(folder, "provision")
    try:
        _flarefleet(folder, "up", "--runtime", "process")
        project = load_project(folder / "project.yml")
        workspace = Workspace(folder / "workspace" / project.name)
        runtime = open_runtime("process", project, workspace)
        with monitoring(runtime, folder / "monitor", metrics, boards, SCRAPE_SECONDS) as running:
            yield Federation(folder, running.prometheus.command.url)
    finally:
        _flarefleet(folder, "down", check=False)


def program() -> str:
    """Return the path of the command."""
    return str(Path(sys.executable).with_name("flarefleet"))


def _flarefleet(folder: Path, *words: str, check: bool = True) -> str:
    ended = subprocess.run(
        [program(), *words], cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    if check and ended.returncode:
        raise SystemExit(f"flarefleet {' '.join(words)}\n{ended.stdout}{ended.stderr}")
    return ended.stdout + ended.stderr
