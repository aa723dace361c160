"""`python -m benchmarks.every_job [JOB ...]`: seconds of each job, from submission to result.

The jobs run with their defaults: a server and two sites on this machine, in this environment.
flower-digits needs .venv-flower, and fedprox-vla needs .venv-vla: name them as arguments there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.job.federations import Flarefleet
from fl_app.jobs.registry import available, find


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.every_job", description=__doc__)
    arguments.add_argument("jobs", nargs="*", metavar="JOB", help="default: all without an extra environment")
    arguments.add_argument("--repeats", type=int, default=1)
    chosen = arguments.parse_args()
    jobs = [find(name) for name in chosen.jobs] or [job for job in available() if not job.extras]
    names = []
    for job in jobs:
        if missing := job.missing():
            print(f"skipped: {missing}", file=sys.stderr)
        else:
            names.append(job.name)
    with TemporaryDirectory(prefix="flarefleet-bench-") as made:
        flarefleet = Flarefleet(Path(made) / "flarefleet")
        with flarefleet.up():
            print("seconds with the defaults (medians): to the result, CPU")
            for name in names:
                runs = [flarefleet.run_job(name) for _ in range(chosen.repeats)]
                seconds = statistics.median(run.seconds for run in runs)
                cpu = statistics.median(run.cpu_seconds for run in runs)
                print(f"{name:16}{seconds:8.1f}{cpu:8.1f}", flush=True)


if __name__ == "__main__":
    main()
