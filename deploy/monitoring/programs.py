"""The programs Prometheus and Grafana: found on this machine, and run for as long as somebody watches."""

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

from deploy.errors import Failed, MachineError
from deploy.monitoring.paths import CHECKOUT, DASHBOARDS
from deploy.runtimes.ports import holder_of, is_free

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
LOG_LINES = 10
KEPT = "7d"
"""For so long Prometheus keeps what it has seen."""

GRAFANA_HOMES = (
    Path("/usr/share/grafana"),
    Path("/opt/homebrew/share/grafana"),
    Path("/usr/local/share/grafana"),
)

INSTALL_PROMETHEUS = (
    "Prometheus is not installed: there is no program `prometheus` on PATH. Install it:\n"
    "  Debian, Ubuntu   apt-get install prometheus && systemctl disable --now prometheus\n"
    "                   (the package starts a service of its own, which would keep port 9090)\n"
    "  macOS            brew install prometheus\n"
    "  elsewhere        https://prometheus.io/download/, and its folder on PATH"
)
INSTALL_GRAFANA = (
    "Grafana is not installed, so there are no dashboards here: https://grafana.com/docs/grafana/latest/setup-grafana/\n"
    f"Any Grafana can import them from {DASHBOARDS.relative_to(CHECKOUT)}."
)


@dataclass(frozen=True)
class Command:
    """A program that serves on a port of this machine."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    port: int
    ready: str
    """The path that answers 200 once it is ready."""

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.port}"


class Running:
    """A program that was started, and is stopped by `stop`.

    Args:
        command: what to start.
        log: a file for all that it writes.
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
                start_new_session=True,  # Ctrl-C is for us; we stop it
            )

    def wait_until_ready(self) -> None:
        """Ask until it says that it is.

        Raises:
            Failed: it ended, or is not ready in a minute; with the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            self.refuse_ended()
            if time.monotonic() > deadline:
                raise Failed(self._explain(f"is not ready after {START_SECONDS:.0f} s"))
            time.sleep(0.1)

    def refuse_ended(self) -> None:
        """See that it still runs.

        Raises:
            Failed: it does not.
        """
        code = self._process.poll()
        if code is not None:
            raise Failed(self._explain(f"ended (exit code {code})"))

    def stop(self) -> None:
        """Ask it to stop, and insist after a while."""
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

    def _explain(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([f"{self.command.name} {what}. The end of {self.log}:", *(f"  {x}" for x in lines)])


def find_prometheus() -> str:
    """The program.

    Raises:
        MachineError: it is not on PATH; says how to install it.
    """
    found = shutil.which("prometheus")
    if found is None:
        raise MachineError(INSTALL_PROMETHEUS)
    return found


def find_grafana() -> tuple[str, ...] | None:
    """How Grafana's server is called, with its home where that is known; None where it is not installed."""
    places = os.pathsep.join([os.environ.get("PATH", ""), *(str(home / "bin") for home in GRAFANA_HOMES)])
    homes = [home for home in GRAFANA_HOMES if home.is_dir()]
    home = ("--homepath", str(homes[0])) if homes else ()
    if (program := shutil.which("grafana", path=places)) is not None:
        return (program, "server", *home)
    if (program := shutil.which("grafana-server", path=places)) is not None:
        return (program, *home)
    return None


def refuse_taken(port: int, program: str, option: str) -> None:
    """See that a port of this machine is free.

    Raises:
        MachineError: it is not; names the holder where that can be seen, and the option for another.
    """
    if not is_free(port, HOST):
        holder = holder_of(port)
        raise MachineError(
            f"Port {port} for {program} is taken{f': {holder} has it' if holder else ''}. "
            f"Stop that, or choose another: flarefleet monitor {option} PORT"
        )


def prometheus(program: str, configuration: Path, data: Path, port: int) -> Command:
    """Prometheus with a configuration, for this machine alone."""
    return Command(
        name="Prometheus",
        arguments=[
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={data}",
            f"--storage.tsdb.retention.time={KEPT}",
            f"--web.listen-address={HOST}:{port}",
        ],
        environment={},
        port=port,
        ready="/-/ready",
    )
