"""`python -m benchmarks.memory`: peak memory of each process of the job `probe`, by the size of its model.

A server and two sites on this machine. The table shows resident memory at its highest, in which memory that
processes share counts in part (PSS). It is sampled, so a shorter peak is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.job.federations import SITES, Flarefleet
from fl_app import contract

SAMPLE_SECONDS = 0.1
BYTES_PER_NUMBER = 4
PREPARED = "fl_app.launchers.template"
"""Module of the process from which job processes are forked."""


class Peaks(threading.Thread):
    """The highest memory of each part of a federation, in bytes, while the block runs."""

    def __init__(self, parents: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.found: dict[str, int] = defaultdict(int)
        self._parents = parents
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            for name, pid in self._parents.items():
                with contextlib.suppress(psutil.Error):
                    self._sample(name, psutil.Process(pid))

    def _sample(self, name: str, supervisor: psutil.Process) -> None:
        (parent,) = supervisor.children()
        self._note(f"{name}, parent", parent.memory_full_info().pss)
        for process in parent.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                is_prepared = PREPARED in process.cmdline()
                part = "prepared process" if is_prepared else "job process"
                self._note(f"{name}, {part}", process.memory_full_info().pss)

    def _note(self, part: str, size: int) -> None:
        self.found[part] = max(self.found[part], size)

    def __enter__(self) -> Peaks:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def _supervisors(folder: Path) -> dict[str, int]:
    """Return the process above each parent of a federation in that folder."""
    found: dict[str, int] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            kit = _kit(process)
            above = process.parent()
            if folder in kit.parents and (above is None or _kit(above) != kit):
                found[kit.name] = process.pid
    return found


def _kit(process: psutil.Process) -> Path:
    return Path(process.environ().get(contract.ENV_KIT, ""))


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    arguments.add_argument("--megabytes", type=int, nargs="+", default=[20, 200])
    arguments.add_argument("--rounds", type=int, default=2)
    chosen = arguments.parse_args()
    with TemporaryDirectory(prefix="flarefleet-bench-") as made:
        flarefleet = Flarefleet(Path(made) / "flarefleet")
        with flarefleet.up():
            for megabytes in chosen.megabytes:
                numbers = megabytes * 10**6 // BYTES_PER_NUMBER
                with Peaks(_supervisors(flarefleet.folder)) as peaks:
                    run = flarefleet.run_job("probe", rounds=chosen.rounds, numbers=numbers)
                print(f"{megabytes} MB, {len(SITES)} sites: {run.seconds:.0f} s, {run.cpu_seconds:.0f} CPU s")
                for part, size in sorted(peaks.found.items()):
                    print(f"  {part:40}{size / 1e6:8.0f} MB", flush=True)


if __name__ == "__main__":
    main()
