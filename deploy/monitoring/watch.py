"""Watching a federation from this machine: Prometheus, and Grafana where it is installed, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import Failed, InputError
from deploy.monitoring.grafana import grafana
from deploy.monitoring.programs import (
    Command,
    Running,
    find_grafana,
    find_prometheus,
    prometheus,
    refuse_taken,
)
from deploy.monitoring.scrape import INTERVAL_SECONDS, Scrape
from deploy.runtimes.protocol import Runtime

PROMETHEUS_PORT = 9090
GRAFANA_PORT = 3000
LOOK_SECONDS = 2.0
"""Between two looks at the federation: a container that starts anew may have another address."""


@dataclass(frozen=True)
class Watch:
    """What runs."""

    scrape: Scrape
    prometheus: Running
    grafana: Running | None
    parents: int
    """How many servers and sites are scraped."""

    def follow(self, runtime: Runtime) -> None:
        """Keep the targets those of the federation, for ever.

        Raises:
            Failed: a program has ended.
        """
        while True:
            time.sleep(LOOK_SECONDS)
            for program in (self.prometheus, self.grafana):
                if program is not None:
                    program.refuse_ended()
            self.scrape.aim(runtime.status())


@contextmanager
def watching(
    runtime: Runtime,
    folder: Path,
    prometheus_port: int = PROMETHEUS_PORT,
    grafana_port: int = GRAFANA_PORT,
    interval: int = INTERVAL_SECONDS,
) -> Iterator[Watch]:
    """Scrape a federation that is up; at the end everything that was started is stopped.

    Args:
        runtime: where the federation runs; process or docker.
        folder: for settings, data and logs; what Prometheus has seen stays there.
        prometheus_port: where Prometheus serves.
        grafana_port: where Grafana serves.
        interval: seconds between two scrapes.

    Raises:
        InputError: the federation runs on Kubernetes.
        MachineError: Prometheus is not installed, or a port is taken.
        Failed: the federation is not up, or a program does not start.
    """
    _refuse_kubernetes(runtime)
    program, grafana_program = find_prometheus(), find_grafana()
    refuse_taken(prometheus_port, "Prometheus", "--port")
    if grafana_program is not None:
        refuse_taken(grafana_port, "Grafana", "--grafana-port")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scrape = Scrape(folder, interval)
    parents = scrape.aim(runtime.status())
    if not parents:
        raise Failed("The federation is not up, there is nothing to watch: flarefleet up")
    scrape.write()
    with ExitStack() as running:
        start = _starter(folder, running)
        metrics = start(prometheus(program, scrape.configuration, folder / "prometheus", prometheus_port))
        boards = None
        if grafana_program is not None:
            boards = start(grafana(grafana_program, folder / "grafana", metrics.command.url, grafana_port))
        yield Watch(scrape, metrics, boards, parents)


def _starter(folder: Path, running: ExitStack) -> Callable[[Command], Running]:
    def start(command: Command) -> Running:
        started = Running(command, folder / f"{command.name.lower()}.log")
        running.callback(started.stop)
        started.wait_until_ready()
        return started

    return start


def _refuse_kubernetes(runtime: Runtime) -> None:
    if runtime.name == "kubernetes":
        raise InputError(
            "This federation runs on Kubernetes: its Prometheus belongs there, too. Install what it needs: "
            "helm install flare-monitoring helm/flare-monitoring -n monitoring "
            "(helm/flare-monitoring/README.md says which values)."
        )
