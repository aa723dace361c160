"""`python -m benchmarks.job`: jobs on stock NVFlare and on Flarefleet in turn; prints medians and ratios.

Both federations run at the same time on this machine, with the same data, training code and Python. The jobs
alternate between them, so that other load affects both. CPU seconds (of the command and of all processes of
the federation) depend least on other load.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.job.federations import Flarefleet, Run, Stock

_ROUND = re.compile(
    r"^(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d{3}) - FedAvg .*\n-+\n\s+Round \d+ started", re.MULTILINE
)

SHORT = (("fibonacci", 5), ("hospital", 2))
"""Jobs whose start is measured, with their rounds."""


@dataclass(frozen=True)
class Figures:
    """Medians of a job's repetitions on one federation, in seconds."""

    total: float
    """From submission to result."""
    cpu: float
    between_rounds: float | None
    """From the start of a round to the start of the next; None for a job without FedAvg."""

    @classmethod
    def of(cls, runs: list[Run]) -> Figures:
        rounds = [seconds for run in runs for seconds in round_seconds(run.log)]
        return cls(
            total=round(statistics.median(run.seconds for run in runs), 2),
            cpu=round(statistics.median(run.cpu_seconds for run in runs), 2),
            between_rounds=round(statistics.median(rounds), 3) if rounds else None,
        )


@dataclass(frozen=True)
class Result:
    """One job on both federations."""

    job: str
    rounds: int
    repeats: int
    stock: Figures
    flarefleet: Figures

    def ratio(self, figure: str) -> float:
        return round(getattr(self.flarefleet, figure) / getattr(self.stock, figure), 3)


def round_seconds(log: str) -> list[float]:
    """Return the seconds between the starts of consecutive rounds."""
    return [(after - before).total_seconds() for before, after in pairwise(round_starts(log))]


def round_starts(log: str) -> list[datetime]:
    """Return the start of each round, from the log of the server's job process."""
    return [datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f") for text in _ROUND.findall(log)]


def measure(stock: Stock, flarefleet: Flarefleet, job: str, rounds: int, repeats: int) -> Result:
    """Run the job on both federations in turn."""
    runs: dict[str, list[Run]] = {"stock": [], "flarefleet": []}
    for repetition in range(repeats):
        for name, federation in (("stock", stock), ("flarefleet", flarefleet)):
            run = federation.run_job(job, rounds)
            runs[name].append(run)
            took = f"{run.seconds:.1f} s, {run.cpu_seconds:.1f} s CPU"
            print(f"{job}, {rounds} rounds, {repetition + 1}: {name} {took}", file=sys.stderr, flush=True)
    return Result(job, rounds, repeats, Figures.of(runs["stock"]), Figures.of(runs["flarefleet"]))


def _row(result: Result) -> str:
    cells = [f"{result.job:9}{result.rounds:7}"]
    for figure in ("total", "cpu", "between_rounds"):
        ours, theirs = getattr(result.flarefleet, figure), getattr(result.stock, figure)
        if theirs is None:
            continue
        cells.append(f"{theirs:7.2f} {ours:7.2f} {result.ratio(figure):6.2f}")
    return "   ".join(cells)


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.job", description=__doc__)
    arguments.add_argument("--repeats", type=int, default=3, help="repetitions of each short job")
    arguments.add_argument("--long-rounds", type=int, default=50, help="rounds of the long job; 0 to skip it")
    arguments.add_argument("--long-repeats", type=int, default=1)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    with TemporaryDirectory(prefix="flarefleet-bench-") as made:
        stock, flarefleet = Stock(Path(made) / "stock"), Flarefleet(Path(made) / "flarefleet")
        with stock.up(), flarefleet.up():
            results = [measure(stock, flarefleet, job, rounds, chosen.repeats) for job, rounds in SHORT]
            if chosen.long_rounds:
                results.append(measure(stock, flarefleet, "probe", chosen.long_rounds, chosen.long_repeats))
    if chosen.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print("seconds: stock, ours, ratio of    submission to result        CPU                       a round")
    print("\n".join(_row(result) for result in results))


if __name__ == "__main__":
    main()
