"""`python -m benchmarks.deploy`: compare NVFlare's charts with ours on a federation in a cluster.

Each turn installs a server and three sites, waits until all are registered, runs a job of two rounds in
processes or in pods, and uninstalls. Turns alternate between the two on the same cluster with the same image,
so that other load affects both. The nodes of the cluster (KUBECONFIG) must have the image.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.deploy.federation import InCluster
from benchmarks.deploy.flarefleet import Flarefleet
from benchmarks.deploy.job import JOBS
from benchmarks.deploy.stock import Stock

METHODS: dict[str, type[InCluster]] = {"stock": Stock, "flarefleet": Flarefleet}


@dataclass(frozen=True)
class Turn:
    """Durations of one turn in seconds."""

    registered: float
    """From the first command to the last site's registration in the server's log."""
    ready: float
    """From the first command until the operator knows that all are ready: by the end of `up` with ours, which
    includes probes and port forwarding; by the server's log with stock NVFlare.
    """
    first_round: float
    """From the submission of a job to its first round."""
    finished: float
    """From the submission to FINISHED:COMPLETED."""
    uninstalled: float
    """From the first command until all pods are gone."""
    load: float
    """Load average of the machine at the beginning, over one minute."""


def take_turn(method: str, launcher: str, chosen: argparse.Namespace, folder: Path) -> Turn:
    load = os.getloadavg()[0]
    federation = METHODS[method](folder, chosen.image, launcher, chosen.sites)
    try:
        registered, ready = federation.up()
        times = federation.run_job(chosen.job, method)
    finally:
        uninstalled = federation.down()
        federation.clean()
    return Turn(registered, ready, times.first_round, times.finished, uninstalled, load)


def median(turns: list[Turn]) -> Turn:
    return Turn(
        *(round(statistics.median(getattr(turn, one.name) for turn in turns), 1) for one in fields(Turn))
    )


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.deploy", description=__doc__)
    arguments.add_argument("--image", default="flarefleet/runtime:0.1.0-cpu", help="image on the nodes")
    arguments.add_argument("--sites", type=int, default=3)
    arguments.add_argument("--job", default="numpy", choices=JOBS)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--launchers", nargs="+", default=["process", "pod"], choices=("process", "pod"))
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    turns: dict[str, dict[str, list[Turn]]] = {}
    for launcher in chosen.launchers:
        for number in range(chosen.repeats):
            for method in METHODS:
                with TemporaryDirectory(prefix="flarefleet-bench-") as folder:
                    turn = take_turn(method, launcher, chosen, Path(folder))
                turns.setdefault(launcher, {}).setdefault(method, []).append(turn)
                print(f"{launcher} {number + 1}, {method}: {turn}", file=sys.stderr, flush=True)
    medians = {
        launcher: {method: median(all_) for method, all_ in methods.items()}
        for launcher, methods in turns.items()
    }
    if chosen.json:
        print(
            json.dumps(
                {one: {method: asdict(m) for method, m in ours.items()} for one, ours in medians.items()}
            )
        )
        return
    names = [one.name for one in fields(Turn)]
    print(f"seconds, medians of {chosen.repeats:<4}" + "".join(f"{name:>13}" for name in names))
    for launcher, methods in medians.items():
        for method, m in methods.items():
            print(f"{launcher:8} {method:15}" + "".join(f"{getattr(m, name):13}" for name in names))


if __name__ == "__main__":
    main()
