"""Overhead of telemetry in a round: the job `probe` on two federations, with and without telemetry."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.job.__main__ import round_seconds
from benchmarks.job.federations import Flarefleet
from fl_app.contract import ENV_PUSH_URL


@dataclass(frozen=True)
class Rounds:
    """Duration of a round in seconds: medians over all rounds of all repetitions."""

    rounds: int
    repeats: int
    with_telemetry: float
    without: float
    added_milliseconds: float
    """Median of the differences of all repetitions."""
    differences_milliseconds: list[float]
    """Difference of the medians, for each repetition."""


class WithoutPush(Flarefleet):
    """A federation whose jobs push nothing."""

    def up(self) -> AbstractContextManager[None]:
        """Start the federation with a sitecustomize.py that removes the push URL from the environment."""
        without = self.folder.with_name("without-push")
        without.mkdir()
        (without / "sitecustomize.py").write_text(f"import os\nos.environ.pop({ENV_PUSH_URL!r}, None)\n")
        return self._up_with(str(without))

    @contextmanager
    def _up_with(self, python_path: str) -> Iterator[None]:
        os.environ["PYTHONPATH"] = python_path
        with super().up():
            del os.environ["PYTHONPATH"]
            yield


def measure(rounds: int, repeats: int) -> Rounds:
    """Run the job alternately on both federations."""
    measured: dict[str, list[list[float]]] = {"with": [], "without": []}
    with TemporaryDirectory(prefix="flarefleet-bench-") as made, ExitStack() as up:
        federations = {
            "with": Flarefleet(Path(made) / "with"),
            "without": WithoutPush(Path(made) / "without"),
        }
        for federation in federations.values():
            up.enter_context(federation.up())
        for repetition in range(repeats):
            for name in sorted(federations, reverse=bool(repetition % 2)):
                seconds = round_seconds(federations[name].run_job("probe", rounds).log)
                measured[name].append(seconds)
                median = statistics.median(seconds) * 1000
                print(f"{repetition + 1}: {name}: {median:.1f} ms a round", file=sys.stderr, flush=True)
    differences = [
        (statistics.median(with_push) - statistics.median(without_push)) * 1000
        for with_push, without_push in zip(measured["with"], measured["without"], strict=True)
    ]
    return Rounds(
        rounds,
        repeats,
        with_telemetry=round(statistics.median(chain.from_iterable(measured["with"])), 4),
        without=round(statistics.median(chain.from_iterable(measured["without"])), 4),
        added_milliseconds=round(statistics.median(differences), 2),
        differences_milliseconds=[round(one, 2) for one in differences],
    )
