"""`python -m benchmarks.chaos`: disturb jobs on a runtime, and print what became of them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.chaos.cell import NORMAL, Cell, Matrix
from benchmarks.chaos.federation import ChaosFederation, JobSpec
from benchmarks.chaos.kills import (
    ALL,
    CLUSTER,
    CONTAINERS,
    JOB_PODS,
    PROCESSES,
    REDUCED,
    Fault,
    Kill,
    kill,
    kills_of,
)
from benchmarks.chaos.processes import Processes
from benchmarks.chaos.table import markdown, write
from benchmarks.chaos.walk import walk

_VARIANTS = (
    ("server parent", JobSpec(client="torch")),
    ("server job", JobSpec(client="process")),
    ("site job", JobSpec(client="process")),
)
"""Kills of jobs with other clients than a NumPy array in the job process."""


def main() -> int:
    """Run the matrix, some of its rows, or a random walk; return 1 if a job did not survive."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--runtime", choices=ALL, nargs="*", default=[PROCESSES])
    parser.add_argument("--kill", nargs="*", metavar="NAME", help="default: all of the runtime")
    parser.add_argument("--client", choices=("numpy", "torch", "process"), help="what trains at the sites")
    parser.add_argument("--two-jobs", action="store_true", help="disturb two jobs that run at once")
    parser.add_argument("--reduced", action="store_true", help="the rows that CI runs")
    parser.add_argument("--stock", action="store_true", help="measure NVFlare without survival as well")
    parser.add_argument("--stock-only", action="store_true")
    parser.add_argument("--seed", type=int, help="walk at random, repeatable by this number")
    parser.add_argument("--duration", type=float, default=3600, help="seconds of the random walk")
    parser.add_argument("--limit", type=float, help="seconds from the end of a fault to the end of its job")
    parser.add_argument("--keep-logs", action="store_true", help="also of jobs that survived")
    parser.add_argument("--sites", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("workspace") / "chaos")
    chosen = parser.parse_args()
    command = " ".join(["python -m benchmarks.chaos", *sys.argv[1:]])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # stop the federation, too
    cells: list[Cell] = []
    for runtime in chosen.runtime:
        if absent := _absent(runtime):
            print(f"{runtime}: not measured: {absent}", file=sys.stderr)
            continue
        for cell in _cells(runtime, chosen):
            cells.append(cell)
            print(_progress(cell), file=sys.stderr, flush=True)
            write(cells, command, chosen.out)
    print(markdown(cells, command))
    return 1 if any(cell.survives and cell.failed for cell in cells) else 0


def _cells(runtime: str, chosen: argparse.Namespace) -> Iterator[Cell]:
    if chosen.seed is not None:
        with _federation(runtime, True, chosen.sites) as federation:
            yield from _walk(_matrix(federation, runtime, chosen), chosen)
        return
    names = chosen.kill or (REDUCED if chosen.reduced else [one.name for one in kills_of(runtime)])
    for survives in [True] * (not chosen.stock_only) + [False] * (chosen.stock or chosen.stock_only):
        kills = [kill(name) for name in names]
        others = [one for one in kills if not _full_disk(one)]
        if others:
            with _federation(runtime, survives, chosen.sites) as federation:
                matrix = _matrix(federation, runtime, chosen)
                spec = JobSpec(client=chosen.client) if chosen.client else None
                for one in others:
                    yield matrix.run_two(one, spec or NORMAL) if chosen.two_jobs else matrix.run(one, spec)
                if survives and not chosen.kill and not chosen.reduced:
                    for name, spec in _VARIANTS:
                        yield matrix.run(kill(name), spec)
                    yield matrix.run_two(kill("server parent"), NORMAL)
        for one in filter(_full_disk, kills):
            with _federation(runtime, survives, chosen.sites, small_disk=one.faults[0][1]) as federation:
                yield _matrix(federation, runtime, chosen).run(one)


def _matrix(federation: ChaosFederation, runtime: str, chosen: argparse.Namespace) -> Matrix:
    logs = chosen.out / "logs"
    folder = logs if federation.survives else logs / "stock"
    return Matrix(federation, runtime, folder, chosen.limit, chosen.keep_logs)


def _walk(matrix: Matrix, chosen: argparse.Namespace) -> Iterator[Cell]:
    deadline = time.monotonic() + chosen.duration
    for number, step in enumerate(walk(chosen.seed, matrix.runtime, chosen.sites), start=1):
        if time.monotonic() > deadline:
            return
        cell = matrix.run(step.kill, step.spec, step.moment)
        cell.kill = f"{number}. {cell.kill}, round {step.moment.round + step.moment.part:.2f}"
        yield cell


def _full_disk(one: Kill) -> bool:
    return any(fault is Fault.FILL_DISK for fault, _ in one.faults)


@contextmanager
def _federation(runtime: str, survives: bool, sites: int, small_disk: str = "") -> Iterator[ChaosFederation]:
    with TemporaryDirectory(prefix="flarefleet-chaos-", ignore_cleanup_errors=True) as made:
        federation = _kind(runtime)(Path(made) / "federation", survives, sites)
        if small_disk:
            federation.mount(small_disk)
        with federation.running():
            yield federation


def _kind(runtime: str) -> type[ChaosFederation]:
    if runtime == PROCESSES:
        return Processes
    if runtime == CONTAINERS:
        from benchmarks.chaos.containers import Containers

        return Containers
    from benchmarks.chaos.kubernetes import Kubernetes, KubernetesJobPods

    return KubernetesJobPods if runtime == JOB_PODS else Kubernetes


def _absent(runtime: str) -> str:
    """Return what this machine lacks for a runtime; empty if nothing."""
    from deploy.docker_engine import connect
    from deploy.errors import MachineError

    if runtime != PROCESSES and os.geteuid() != 0:
        return "only root may signal processes of containers"
    if runtime == CONTAINERS:
        try:
            connect().close()
        except MachineError as error:
            return str(error)
    if runtime in CLUSTER and not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG does not name a cluster; see ../shared/cluster"
    return ""


def _progress(cell: Cell) -> str:
    result = "survived" if cell.is_survived else f"FAILED: {'; '.join(cell.failed)}"
    name = "" if cell.survives else " (stock)"
    after = "never" if cell.next_training is None else f"{cell.next_training:.1f} s"
    return f"{cell.runtime}{name}: {cell.kill}: {result}; next training after {after}; {cell.status}"


if __name__ == "__main__":
    sys.exit(main())
