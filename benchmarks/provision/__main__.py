"""Measure `flarefleet provision` and `nvflare provision`, whole commands alternately: medians and ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.environment import command_environment
from benchmarks.project import write_project

BIN = Path(sys.executable).parent


class Cost(NamedTuple):
    """Duration of a command in seconds: wall time, and CPU time of all cores."""

    wall: float
    cpu: float


@dataclass
class Times:
    """The measurements of one case. Stock and ours ran alternately."""

    sites: int
    case: str
    stock: list[Cost] = field(default_factory=list)
    ours: list[Cost] = field(default_factory=list)

    def ratio(self, of: str) -> float | None:
        """Return the median speedup of ours over stock."""
        pairs = zip(self.stock, self.ours, strict=True) if self.stock else ()
        ratios = [getattr(stock, of) / getattr(ours, of) for stock, ours in pairs]
        return statistics.median(ratios) if ratios else None

    def document(self) -> dict[str, object]:
        return {
            "sites": self.sites,
            "case": self.case,
            "stock": [cost._asdict() for cost in self.stock],
            "ours": [cost._asdict() for cost in self.ours],
            "ratio": {"wall": self.ratio("wall"), "cpu": self.ratio("cpu")},
        }

    def line(self) -> str:
        cells = [_median(self.stock, "wall"), _median(self.ours, "wall"), self.ratio("wall")]
        cells += [_median(self.stock, "cpu"), _median(self.ours, "cpu"), self.ratio("cpu")]
        return f"{self.sites:6}  {self.case:20}" + "".join(
            f"{cell:11.2f}" if cell is not None else "          -" for cell in cells
        )


def _median(costs: list[Cost], of: str) -> float | None:
    return statistics.median(getattr(cost, of) for cost in costs) if costs else None


def main() -> None:
    """Run every case and print the results."""
    options = _options()
    print(_machine(), file=sys.stderr)
    results = [times for sites in options.sites for times in _measure(sites, options.repeats)]
    if options.json:
        print(
            json.dumps({"machine": _machine(), "results": [times.document() for times in results]}, indent=2)
        )
        return
    print(_machine())
    print(f"medians of {options.repeats} runs in seconds: wall time, and CPU time of all cores (cpu)")
    columns = ("stock", "ours", "ratio", "stock cpu", "ours cpu", "cpu ratio")
    print(f"{'sites':>6}  {'case':20}" + "".join(f"{column:>11}" for column in columns))
    for times in results:
        print(times.line())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.provision", description=__doc__)
    parser.add_argument("--sites", type=int, nargs="+", default=[10, 200, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _measure(sites: int, repeats: int) -> Iterator[Times]:
    fresh, added, again = Times(sites, "fresh"), Times(sites, "one site added"), Times(sites, "no change")
    one_core = Times(sites, "fresh, on one core")
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="bench-provision-") as name:
            folder = Path(name)
            _write_project(folder, sites)
            _turn(fresh, folder)
            _turn(again, folder)
            _write_project(folder, sites + 1)
            _turn(added, folder)
            if _cores() > 1:
                shutil.rmtree(folder / "ours")
                one_core.ours.append(_timed(_ours, folder, cores=1))
        print(f"{fresh.line()}\n{added.line()}", file=sys.stderr)
    yield from (fresh, added, again)
    if one_core.ours:
        yield one_core


def _turn(times: Times, folder: Path) -> None:
    """Measure stock and ours, each after a run with two sites that is not measured.

    That run loads the program into memory, which some machines reclaim while the other program runs.
    """
    for command, costs in ((_stock, times.stock), (_ours, times.ours)):
        with tempfile.TemporaryDirectory(prefix="bench-provision-warm-") as name:
            _write_project(Path(name), 2)
            _timed(command, Path(name))
        costs.append(_timed(command, folder))


def _stock(folder: Path) -> list[str]:
    return [str(BIN / "nvflare"), "provision", "--force", "-p", "project.yml", "-w", "stock"]


def _ours(folder: Path) -> list[str]:
    return [str(BIN / "flarefleet"), "--project", "project.yml", "--workspace", "ours", "provision"]


def _timed(command: Callable[[Path], list[str]], folder: Path, cores: int | None = None) -> Cost:
    def limit() -> None:
        if cores is not None:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    before, start = _cpu(), time.perf_counter()
    done = subprocess.run(
        command(folder),
        cwd=folder,
        env=command_environment(),
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    cost = Cost(time.perf_counter() - start, _cpu() - before)
    if done.returncode:
        sys.exit(f"{' '.join(done.args)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return cost


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write_project(folder: Path, sites: int) -> None:
    server = {"name": "flare.example.org", "fed_learn_port": 8002}
    names = [f"site-{number}" for number in range(1, sites + 1)]
    write_project(folder, server, names, scheme="grpc", builders=["signature.SignatureBuilder"])


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return (
        f"{model}, {_cores()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()}"
    )


if __name__ == "__main__":
    main()
