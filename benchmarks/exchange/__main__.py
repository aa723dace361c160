"""`python -m benchmarks.exchange`: a job with a large model on stock NVFlare and on Flarefleet in turn.

Flarefleet runs twice: with models in NVFlare's own format, and without copies of their arrays (`direct`). All
federations run at the same time on this machine, and the jobs alternate between them, so that other load
affects all. CPU seconds (of the command and of all processes of the federation) depend least on other load.
The job with a small model runs first: its CPU seconds are not part of the exchange.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.exchange.memory import Peaks
from benchmarks.job.__main__ import round_seconds
from benchmarks.job.federations import Flarefleet, Run, Stock
from fl_app.contract import ENV_DIRECT_EXCHANGE

BYTES_PER_NUMBER = {"float32": 4, "float16": 2, "bfloat16": 2}
SMALL = 1000
"""Numbers of the small model."""
JOB = Path(__file__).with_name("job")

Federation = Stock | Flarefleet
KINDS: dict[str, Callable[[Path, list[str]], Federation]] = {
    "stock": lambda folder, sites: Stock(folder, sites=sites),
    "own": lambda folder, sites: Flarefleet(folder, sites, {ENV_DIRECT_EXCHANGE: "false"}),
    "direct": lambda folder, sites: Flarefleet(folder, sites, {ENV_DIRECT_EXCHANGE: "true"}),
}
"""Stock NVFlare, and Flarefleet with NVFlare's own format and without copies."""


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
    load: float
    """Load average of the machine over one minute, at the end."""


def measure(
    name: str, federation: Federation, megabytes: int, rounds: int, *, model: Mapping[str, str], base: float
) -> Figures:
    """Run the job with a model of this size; `base` is the CPU seconds of the job with a small one."""
    with Peaks(federation.roots()) as peaks:
        run = run_job(federation, rounds, megabytes * 10**6 // BYTES_PER_NUMBER[model["dtype"]], model)
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
        load=round(os.getloadavg()[0], 1),
    )


def run_job(federation: Federation, rounds: int, numbers: int, model: Mapping[str, str]) -> Run:
    """Run the job to its result."""
    job = "probe" if isinstance(federation, Stock) else str(JOB)
    return federation.run_job(job, rounds, numbers=numbers, **model)


def row(figures: Figures) -> str:
    """Return a row of the table."""
    memory = ", ".join(f"{part} {size}" for part, size in figures.megabytes_by_process.items())
    return (
        f"{figures.megabytes:5} MB {figures.sites:3} sites  {figures.federation:7}"
        f"{figures.cpu:8.1f} CPU s {figures.cpu_per_gigabyte:6.1f} a GB "
        f"{figures.seconds_per_round:7.2f} s a round, load {figures.load:4}   MB: {memory}"
    )


def ratios(all_figures: list[Figures]) -> list[str]:
    """Return a line for each figure that has a ratio to the first kind of federation: medians of all runs."""
    kinds = list(dict.fromkeys(one.federation for one in all_figures))
    lines = []
    for megabytes in dict.fromkeys(one.megabytes for one in all_figures):
        of_kind = {
            kind: _medians(
                [one for one in all_figures if (one.megabytes, one.federation) == (megabytes, kind)]
            )
            for kind in kinds
        }
        for name, first in of_kind[kinds[0]].items():
            rest = [f"{kind} {of_kind[kind][name] / first:.2f}" for kind in kinds[1:] if first]
            lines.append(f"{megabytes:5} MB  {name:34} of {kinds[0]}: {', '.join(rest)}")
    return lines


def _medians(runs: list[Figures]) -> dict[str, float]:
    names = sorted({name for run in runs for name in run.megabytes_by_process})
    return {
        "CPU seconds": statistics.median(run.cpu for run in runs),
        "seconds a round": statistics.median(run.seconds_per_round for run in runs),
        **{
            f"memory, {name}": statistics.median(run.megabytes_by_process.get(name, 0) for run in runs)
            for name in names
            if name != "prepared process"
        },
    }


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.exchange", description=__doc__)
    arguments.add_argument("--megabytes", type=int, nargs="+", default=[200])
    arguments.add_argument("--sites", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3, help="at least 2")
    arguments.add_argument("--repeats", type=int, default=1)
    arguments.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    arguments.add_argument("--format", choices=("numpy", "pytorch"), default="pytorch")
    arguments.add_argument("--dtype", choices=BYTES_PER_NUMBER, default="float32")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    sites = [f"site-{number + 1}" for number in range(chosen.sites)]
    model = {"format": chosen.format, "dtype": chosen.dtype}
    with TemporaryDirectory(prefix="flarefleet-bench-") as made, ExitStack() as stack:
        federations = {name: KINDS[name](Path(made) / name, sites) for name in chosen.kinds}
        for federation in federations.values():
            stack.enter_context(federation.up())
        base = {
            name: run_job(federation, chosen.rounds, SMALL, model).cpu_seconds
            for name, federation in federations.items()
        }
        found = []
        for megabytes in chosen.megabytes:
            for _ in range(chosen.repeats):
                for name, federation in federations.items():
                    figures = measure(
                        name, federation, megabytes, chosen.rounds, model=model, base=base[name]
                    )
                    found.append(figures)
                    print(json.dumps(asdict(figures)) if chosen.json else row(figures), flush=True)
    if len(federations) > 1 and not chosen.json:
        print("\n".join(ratios(found)))


if __name__ == "__main__":
    main()
