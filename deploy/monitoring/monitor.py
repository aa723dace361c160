"""Monitor a federation from this machine with Prometheus, and with Grafana if it is installed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.charts import chart_file
from deploy.errors import Failed, InputError
from deploy.monitoring.grafana import grafana
from deploy.monitoring.paths import CHART
from deploy.monitoring.programs import find_grafana, find_prometheus, prometheus
from deploy.monitoring.scrape import INTERVAL_SECONDS, Scrape
from deploy.programs import Command, RunningProgram, refuse_port_in_use
from deploy.runtimes.protocol import Runtime

POLL_INTERVAL = 2.0
"""Seconds between two updates of the targets: a restarted container may have another address."""


@dataclass(frozen=True)
class Monitor:
    """The running programs."""

    scrape: Scrape
    prometheus: RunningProgram
    grafana: RunningProgram | None
    parents: int
    """Number of scraped servers and sites."""

    def follow(self, runtime: Runtime) -> None:
        """Update the targets until the caller is interrupted.

        Raises:
            Failed: a program has exited.
        """
        while True:
            time.sleep(POLL_INTERVAL)
            for program in (self.prometheus, self.grafana):
                if program is not None:
                    program.check_running()
            self.scrape.write_targets(runtime.status())


@contextmanager
def monitoring(
    runtime: Runtime,
    folder: Path,
    prometheus_port: int,
    grafana_port: int,
    interval: int = INTERVAL_SECONDS,
) -> Iterator[Monitor]:
    """Monitor a running federation until the end of the block.

    Args:
        folder: the folder for settings, data and logs; Prometheus' data stay there.
        interval: seconds between two scrapes.

    Raises:
        InputError: the federation runs on Kubernetes.
        MachineError: Prometheus is not installed, or a port is in use.
        Failed: the federation is not running, or a program did not start.
    """
    if runtime.name == "kubernetes":
        package = f"charts/{chart_file(CHART.name)}"
        raise InputError(
            "`flarefleet monitor` does not support Kubernetes. Use a Prometheus in the cluster:\n"
            "  flarefleet charts save charts\n"
            f"  helm install {CHART.name} {package} -n NAMESPACE\n"
            f"`helm show readme {package}` describes the values."
        )
    program, grafana_program = find_prometheus(), find_grafana()
    refuse_port_in_use(prometheus_port, "Prometheus", "--port")
    if grafana_program is not None:
        refuse_port_in_use(grafana_port, "Grafana", "--grafana-port")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scrape = Scrape(folder, interval)
    parents = scrape.write_targets(runtime.status())
    if not parents:
        raise Failed("The federation is not running. Start it: flarefleet up")
    scrape.write()
    with ExitStack() as running:

        def start(command: Command) -> RunningProgram:
            started = RunningProgram(command, folder / f"{command.name.lower()}.log")
            running.callback(started.stop)
            started.wait_until_ready()
            return started

        metrics = start(prometheus(program, scrape.configuration, folder / "prometheus", prometheus_port))
        boards = None
        if grafana_program is not None:
            boards = start(grafana(grafana_program, folder / "grafana", metrics.command.url, grafana_port))
        yield Monitor(scrape, metrics, boards, parents)
