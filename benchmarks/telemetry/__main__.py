"""`python -m benchmarks.telemetry`: duration and memory of a scrape, and overhead of telemetry in a round."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict

from benchmarks.telemetry.rounds import measure
from benchmarks.telemetry.scrape import Scrape


def scrape(sites: int, tags: int) -> Scrape:
    """Measure one size, in a separate process so that its memory is measured alone."""
    command = [sys.executable, "-m", "benchmarks.telemetry.scrape", str(sites), str(tags)]
    return Scrape(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    arguments.add_argument("--sites", type=int, nargs="*", default=[10, 100, 1000])
    arguments.add_argument("--tags", type=int, default=100)
    arguments.add_argument(
        "--rounds", type=int, default=100, help="rounds of each job; 0 skips the measurement"
    )
    arguments.add_argument("--repeats", type=int, default=4)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    scrapes = [scrape(sites, chosen.tags) for sites in chosen.sites]
    rounds = measure(chosen.rounds, chosen.repeats) if chosen.rounds else None
    if chosen.json:
        document = {"scrapes": [asdict(one) for one in scrapes], "rounds": asdict(rounds) if rounds else None}
        print(json.dumps(document, indent=2))
        return
    print("sites  tags   series     MB   scrape ms (best, CPU)   memory MiB   pushed in s")
    for one in scrapes:
        size = f"{one.sites:5}  {one.tags:4}  {one.series:7}  {one.megabytes:5.1f}"
        times = f"{one.milliseconds:6.1f} ({one.best_milliseconds:.1f}, {one.cpu_milliseconds:.1f})"
        print(f"{size}   {times}   {one.memory_mib:8.1f}   {one.push_seconds:8.2f}")
    if rounds:
        print(
            f"a round of the job probe: {rounds.with_telemetry * 1000:.1f} ms with telemetry, "
            f"{rounds.without * 1000:.1f} ms without; difference {rounds.added_milliseconds:+.1f} ms "
            f"({rounds.differences_milliseconds})"
        )


if __name__ == "__main__":
    main()
