"""`python -m benchmarks.deploy`: a federation in a cluster, with NVFlare's own charts and with ours, in turn.

Each turn installs a server and three sites, waits until all are registered, runs a job of two rounds in
processes or in pods, and uninstalls; one way and then the other, on the same cluster, with the same image,
so that whatever else loads the machine loads both. The nodes of the cluster (KUBECONFIG) must have the image.
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
from benchmarks.deploy.job import JOBS
from benchmarks.deploy.kit import Kit
from benchmarks.deploy.stock import Stock

WAYS: dict[str, type[InCluster]] = {"stock": Stock, "flarefleet": Kit}


@dataclass(frozen=True)
class Turn:
    """One turn, in seconds."""

    registered: float
    """From the first command to the last site's registration, as the server's log has it."""
    ready: float
    """From the first command until the operator is told that all are: of ours, the end of `up`, with probes
    that have been asked and a way to the server; of stock, which has none, a look at the log."""
    first_round: float
    """From the submission of a job to its first round."""
    finished: float
    """From its submission to FINISHED:COMPLETED."""
    uninstalled: float
    """From the first command until no pod is left."""
    load: float
    """Of the machine at the begin: processes that wanted a core, in the last minute."""


def take_turn(way: str, launcher: str, chosen: argparse.Namespace, folder: Path) -> Turn:
    load = os.getloadavg()[0]
    federation = WAYS[way](folder, chosen.image, launcher, chosen.sites)
    try:
        registered, ready = federation.up()
        times = federation.run_job(chosen.job, way)
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
    arguments.add_argument("--image", default="flarefleet/runtime:0.1.0-cpu", help="as the nodes have it")
    arguments.add_argument("--sites", type=int, default=3)
    arguments.add_argument("--job", default="numpy", choices=JOBS)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--launchers", nargs="+", default=["process", "pod"], choices=("process", "pod"))
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    turns: dict[str, dict[str, list[Turn]]] = {}
    for launcher in chosen.launchers:
        for number in range(chosen.repeats):
            for way in WAYS:
                with TemporaryDirectory(prefix="flarefleet-bench-") as folder:
                    turn = take_turn(way, launcher, chosen, Path(folder))
                turns.setdefault(launcher, {}).setdefault(way, []).append(turn)
                print(f"{launcher} {number + 1}, {way}: {turn}", file=sys.stderr, flush=True)
    medians = {
        launcher: {way: median(all_) for way, all_ in ways.items()} for launcher, ways in turns.items()
    }
    if chosen.json:
        print(json.dumps({one: {way: asdict(m) for way, m in ways.items()} for one, ways in medians.items()}))
        return
    names = [one.name for one in fields(Turn)]
    print(f"seconds, medians of {chosen.repeats:<4}" + "".join(f"{name:>13}" for name in names))
    for launcher, ways in medians.items():
        for way, m in ways.items():
            print(f"{launcher:8} {way:15}" + "".join(f"{getattr(m, name):13}" for name in names))


if __name__ == "__main__":
    main()
