"""`python -m benchmarks.exchange`: the job `probe` with a large model, on stock NVFlare and on Flarefleet.

Both federations run at the same time on this machine, and the jobs alternate between them, so that other load
affects both. CPU seconds (of the command and of all processes of the federation) depend least on other load.
The job with a small model runs first: its CPU seconds are not part of the exchange.
"""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.exchange.memory import Peaks
from benchmarks.job.__main__ import round_seconds
from benchmarks.job.federations import Flarefleet, Run, Stock

BYTES_PER_NUMBER = 4
SMALL = 1000
"""Numbers of the small model."""

Federation = Stock | Flarefleet


@dataclass(frozen=True)
class Figures:
    """What one job with a large model took."""

    federation: str
    megabytes: int
    sites: int
    cpu: float
    """CPU seconds more than with a small model."""
    cpu_per_gigabyte: float
    """CPU seconds for each GB that a site receives or sends."""
    seconds_per_round: float
    megabytes_by_process: dict[str, int]
    """Highest memory of each process; the highest of all sites."""


def measure(name: str, federation: Federation, megabytes: int, rounds: int, base: float) -> Figures:
    """Run the job with a model of this size; `base` is the CPU seconds of the job with a small one."""
    with Peaks(federation.roots()) as peaks:
        run = run_job(federation, rounds, megabytes * 10**6 // BYTES_PER_NUMBER)
    sites = len(federation.sites)
    gigabytes = megabytes / 1000 * rounds * sites * 2
    memory: dict[str, int] = {}
    for part, size in peaks.found.items():
        participant, _, process = part.partition(", ")
        key = f"{'server' if participant == 'server' else 'site'} {process}"
        memory[key] = max(memory.get(key, 0), round(size / 1e6))
    cpu = run.cpu_seconds - base
    return Figures(
        federation=name,
        megabytes=megabytes,
        sites=sites,
        cpu=round(cpu, 1),
        cpu_per_gigabyte=round(cpu / gigabytes, 1),
        seconds_per_round=round(statistics.median(round_seconds(run.log)), 2),
        megabytes_by_process=dict(sorted(memory.items())),
    )


def run_job(federation: Federation, rounds: int, numbers: int) -> Run:
    """Run the job `probe` to its result."""
    return federation.run_job("probe", rounds, numbers=numbers)


def row(figures: Figures) -> str:
    """Return a row of the table."""
    memory = ", ".join(f"{part} {size}" for part, size in figures.megabytes_by_process.items())
    return (
        f"{figures.megabytes:5} MB {figures.sites:3} sites  {figures.federation:11}"
        f"{figures.cpu:8.1f} CPU s {figures.cpu_per_gigabyte:6.1f} a GB "
        f"{figures.seconds_per_round:7.2f} s a round   MB: {memory}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.exchange", description=__doc__)
    arguments.add_argument("--megabytes", type=int, nargs="+", default=[200])
    arguments.add_argument("--sites", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3, help="at least 2")
    arguments.add_argument("--repeats", type=int, default=1)
    arguments.add_argument("--only", choices=("stock", "flarefleet"), help="measure one of the two")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    sites = [f"site-{number + 1}" for number in range(chosen.sites)]
    kinds: dict[str, type[Federation]] = {"stock": Stock, "flarefleet": Flarefleet}
    with TemporaryDirectory(prefix="flarefleet-bench-") as made, ExitStack() as stack:
        federations = {
            name: kind(Path(made) / name, sites=sites)
            for name, kind in kinds.items()
            if chosen.only in (None, name)
        }
        for federation in federations.values():
            stack.enter_context(federation.up())
        base = {
            name: run_job(federation, chosen.rounds, SMALL).cpu_seconds
            for name, federation in federations.items()
        }
        for megabytes in chosen.megabytes:
            for _ in range(chosen.repeats):
                for name, federation in federations.items():
                    figures = measure(name, federation, megabytes, chosen.rounds, base[name])
                    print(json.dumps(asdict(figures)) if chosen.json else row(figures), flush=True)


if __name__ == "__main__":
    main()
