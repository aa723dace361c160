"""Find and run Prometheus and Grafana on this machine."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from deploy.checkout import CHECKOUT
from deploy.errors import Failed, MachineError
from deploy.monitoring.paths import DASHBOARDS
from deploy.runtimes.ports import holder_of, is_free

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
LOG_LINES = 10
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
    f"Any Grafana can import them from {DASHBOARDS.relative_to(CHECKOUT)}."
)


@dataclass(frozen=True)
class Command:
    """A program that listens on a port of this machine."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    port: int
    ready: str
    """The path that returns 200 if the program is ready."""

    @property
    def url(self) -> str:
        """The URL of the program."""
        return f"http://{HOST}:{self.port}"


class RunningProgram:
    """A started program.

    Args:
        command: the program.
        log: the file for its output.
    """

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command.arguments,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C must not reach it
            )

    def wait_until_ready(self) -> None:
        """Wait until the program is ready.

        Raises:
            Failed: it exited, or is not ready within a minute; the message contains the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            self.check_running()
            if time.monotonic() > deadline:
                raise Failed(self._with_log(f"is not ready after {START_SECONDS:.0f} s"))
            time.sleep(0.1)

    def check_running(self) -> None:
        """Check that the program is running.

        Raises:
            Failed: it has exited.
        """
        code = self._process.poll()
        if code is not None:
            raise Failed(self._with_log(f"exited (exit status {code})"))

    def stop(self) -> None:
        """Terminate the program; kill it after a timeout."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        with closing(http.client.HTTPConnection(HOST, self.command.port, timeout=2)) as connection:
            try:
                connection.request("GET", self.command.ready)
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False

    def _with_log(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([f"{self.command.name} {what}. The end of {self.log}:", *(f"  {x}" for x in lines)])


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


def refuse_port_in_use(port: int, program: str, option: str) -> None:
    """Check that a port of this machine is free.

    Raises:
        MachineError: it is in use.
    """
    if not is_free(port, HOST):
        holder = holder_of(port)
        raise MachineError(
            f"Port {port} for {program} is in use{f' by {holder}' if holder else ''}. "
            f"Choose another one: flarefleet monitor {option} PORT"
        )


def prometheus(program: str, configuration: Path, data: Path, port: int) -> Command:
    """Return the command that starts Prometheus on the loopback interface."""
    return Command(
        name="Prometheus",
        arguments=[
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={data}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={HOST}:{port}",
        ],
        environment={},
        port=port,
        ready="/-/ready",
    )
