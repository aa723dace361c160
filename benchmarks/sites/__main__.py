"""`python -m benchmarks.sites`: many sites on one server, stock NVFlare and Flarefleet in turn.

The server, its job processes and the administrator's commands are real. A few processes simulate the sites,
each with connections of its own (`benchmarks.sites.simulated`): all figures are of the server. The job is
`fibonacci`, which has no model.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.exchange.memory import Peaks
from benchmarks.job.federations import Flarefleet, Stock
from fl_app.contract import ENV_TELEMETRY_PORT

REGISTERED_WITHIN = 300.0
"""Seconds."""
_ROUND = re.compile(r"^(\S+ \S+) - FibonacciController .* - round \d+: sum", re.MULTILINE)

Federation = Stock | Flarefleet


@dataclass(frozen=True)
class Figures:
    """What one server took."""

    federation: str
    registered: int
    training: int
    registration: float
    """Seconds until all sites were registered."""
    idle_cpu: float
    """Milliseconds of CPU that the server takes for a registered site in a minute without a job."""
    parent_megabytes: int
    job_megabytes: int
    threads: int
    """Threads of the server's parent."""
    seconds_per_round: float
    job_cpu: float
    """CPU seconds of the server, with its job process, from the submission to the result."""
    scrape: float | None
    """Milliseconds of a scrape of the parent's metrics; None for stock NVFlare."""


@contextlib.contextmanager
def simulated(kits: Path, names: Sequence[str], processes: int) -> Iterator[None]:
    """Run simulated sites, and wait until all have registered."""
    started = []
    with TemporaryDirectory(prefix="flarefleet-sites-") as empty, ExitStack() as stack:
        for number in range(processes):
            some = names[number::processes]
            command = [sys.executable, "-m", "benchmarks.sites.simulated", str(kits), *some]
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
            process = subprocess.Popen(command, cwd=empty, env=environment, stdout=subprocess.PIPE, text=True)
            stack.callback(_end, process)
            started.append(process)
        for process in started:
            assert process.stdout is not None
            if not process.stdout.readline().startswith("registered"):
                raise SystemExit("simulated sites did not register")
        yield


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def measure(name: str, federation: Federation, chosen: argparse.Namespace) -> Figures:
    """Register the sites with a running server, leave it idle, and run a job on some of them."""
    begin = time.monotonic()
    with simulated(federation.kits, federation.sites, chosen.processes):
        registration = time.monotonic() - begin
        print(f"{name}: registered after {registration:.1f} s", file=sys.stderr, flush=True)
        server = federation.roots()["server"]
        before = cpu_seconds(server)
        time.sleep(chosen.idle)
        idle = cpu_seconds(server) - before
        scrape = scrape_milliseconds(server)
        before = cpu_seconds(server)
        with Peaks({"server": server}) as peaks:
            run = federation.run_job("fibonacci", chosen.rounds, sites=federation.sites[: chosen.training])
        ends = [datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f") for text in _ROUND.findall(run.log)]
        return Figures(
            federation=name,
            registered=len(federation.sites),
            training=chosen.training,
            registration=round(registration, 1),
            idle_cpu=round(idle * 1000 * 60 / chosen.idle / len(federation.sites), 1),
            parent_megabytes=round(peaks.found["server, parent"] / 1e6),
            job_megabytes=round(peaks.found["server, job process"] / 1e6),
            threads=max(process.num_threads() for process in _tree(server)),
            seconds_per_round=round(
                statistics.median((after - before).total_seconds() for before, after in pairwise(ends)), 2
            ),
            job_cpu=round(cpu_seconds(server) - before, 1),
            scrape=scrape,
        )


def _tree(root: int) -> list[psutil.Process]:
    return [psutil.Process(root), *psutil.Process(root).children(recursive=True)]


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds of a process and its descendants, also of those that have ended."""
    total = 0.0
    for process in _tree(root):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def scrape_milliseconds(root: int) -> float | None:
    """Return the median duration of five scrapes."""
    ports = [one.environ()[ENV_TELEMETRY_PORT] for one in _tree(root) if ENV_TELEMETRY_PORT in one.environ()]
    if not ports:
        return None
    port = int(ports[0])
    times = []
    for _ in range(5):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            begin = time.perf_counter()
            connection.request("GET", "/metrics")
            connection.getresponse().read()
            times.append((time.perf_counter() - begin) * 1000)
    return round(statistics.median(times), 1)


def row(figures: Figures) -> str:
    """Return a row of the table."""
    return (
        f"{figures.federation:11}{figures.registered:5} registered {figures.training:4} training  "
        f"{figures.registration:6.1f} s to register  {figures.idle_cpu:6.1f} CPU ms a site and minute  "
        f"{figures.seconds_per_round:6.2f} s a round  {figures.job_cpu:6.1f} CPU s a job  "
        f"MB: parent {figures.parent_megabytes}, job {figures.job_megabytes}  {figures.threads} threads"
        + (f"  scrape {figures.scrape} ms" if figures.scrape is not None else "")
    )


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.sites", description=__doc__)
    arguments.add_argument("--registered", type=int, default=100)
    arguments.add_argument("--training", type=int, default=25)
    arguments.add_argument("--rounds", type=int, default=10, help="at least 2")
    arguments.add_argument("--idle", type=float, default=30.0, help="seconds without a job")
    arguments.add_argument("--processes", type=int, default=2, help="processes that simulate the sites")
    arguments.add_argument("--repeats", type=int, default=1)
    arguments.add_argument("--only", choices=("stock", "flarefleet"), help="measure one of the two")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    sites = [f"site-{number + 1}" for number in range(chosen.registered)]
    kinds: dict[str, type[Federation]] = {"stock": Stock, "flarefleet": Flarefleet}
    for _repetition in range(chosen.repeats):
        for name, kind in kinds.items():
            if chosen.only not in (None, name):
                continue
            with TemporaryDirectory(prefix="flarefleet-bench-") as made:
                federation = kind(Path(made) / name, sites=sites, with_sites=False)
                with federation.up():
                    figures = measure(name, federation, chosen)
            print(json.dumps(asdict(figures)) if chosen.json else row(figures), flush=True)


if __name__ == "__main__":
    main()
