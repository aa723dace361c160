"""Find Prometheus and Grafana on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deploy.errors import MachineError
from deploy.hosts import LOOPBACK
from deploy.monitoring.paths import DASHBOARDS
from deploy.programs import Command

RETENTION = "7d"

GRAFANA_HOMES = (
    Path("/usr/share/grafana"),
    Path("/opt/homebrew/share/grafana"),
    Path("/usr/local/share/grafana"),
)

INSTALL_PROMETHEUS = (
    "Prometheus is not installed: the program `prometheus` is not on PATH. Install it:\n"
    "  Debian, Ubuntu   apt-get install prometheus && systemctl disable --now prometheus\n"
    "                   (the package starts a service that occupies port 9090)\n"
    "  macOS            brew install prometheus\n"
    "  other systems    https://prometheus.io/download/, and add its folder to PATH"
)
INSTALL_GRAFANA = (
    "Grafana is not installed. Install it to see the dashboards: "
    "https://grafana.com/docs/grafana/latest/setup-grafana/\n"
    f"Any Grafana can import them from {DASHBOARDS}."
)


def find_prometheus() -> str:
    """Return the path of Prometheus.

    Raises:
        MachineError: it is not on PATH.
    """
    found = shutil.which("prometheus")
    if found is None:
        raise MachineError(INSTALL_PROMETHEUS)
    return found


def find_grafana() -> tuple[str, ...] | None:
    """Return the command line of Grafana's server; None if it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *(str(home / "bin") for home in GRAFANA_HOMES)])
    homes = [home for home in GRAFANA_HOMES if home.is_dir()]
    home = ("--homepath", str(homes[0])) if homes else ()
    if (program := shutil.which("grafana", path=path)) is not None:
        return (program, "server", *home)
    if (program := shutil.which("grafana-server", path=path)) is not None:
        return (program, *home)
    return None


def prometheus(program: str, configuration: Path, data: Path, port: int) -> Command:
    """Return the command that starts Prometheus on the loopback interface."""
    return Command(
        name="Prometheus",
        arguments=[
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={data}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={LOOPBACK}:{port}",
        ],
        port=port,
        ready="/-/ready",
    )
