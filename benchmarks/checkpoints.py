"""What a checkpoint costs a round of a 200 MB model: python -m benchmarks.checkpoints.

The rounds run in this process, without a network: the ratio in a federation, whose rounds take longer, is
smaller. Measured are the seconds for which survival holds up a round, and the CPU seconds of the thread that
writes meanwhile.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.survival.checkpoints import CheckpointStore
from fl_app.survival.component import JobSurvival
from tests.unit.guard import in_process
from tests.unit.guard.in_process import Job, Memory

in_process.TIMEOUT = 3600.0


class _Clocked(JobSurvival):
    """Survival with a clock."""

    seconds = 0.0

    def handle_event(self, event_type: str, fl_ctx: Any) -> None:
        before = time.perf_counter()
        super().handle_event(event_type, fl_ctx)
        type(self).seconds += time.perf_counter() - before


class _ClockedStore(CheckpointStore):
    """Checkpoints with a clock of the CPU."""

    seconds, cpu, written = 0.0, 0.0, 0

    def write(self, *arguments: Any) -> int:
        before, cpu = time.perf_counter(), time.thread_time()
        number = super().write(*arguments)
        _ClockedStore.seconds += time.perf_counter() - before
        _ClockedStore.cpu += time.thread_time() - cpu
        _ClockedStore.written += 1
        return number


class _Nothing(Memory):
    """A persistor that keeps nothing."""

    def save_model(self, model: Any, fl_ctx: Any) -> None:
        """Keep nothing."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of the training in a round")
    given = parser.parse_args()
    starts: dict[int, float] = {}

    def train(site: str, received: FLModel) -> FLModel:
        starts.setdefault(received.current_round or 0, time.perf_counter())
        time.sleep(given.seconds)
        after = {name: value + 1 for name, value in received.params.items()}
        return FLModel(params=after, metrics={"accuracy": 0.5}, meta={"NUM_STEPS_CURRENT_ROUND": 1})

    import fl_app.survival.job_agent as agent

    agent.CheckpointStore = _ClockedStore  # type: ignore[misc]
    model = {f"layer{index}": torch.zeros(given.megabytes * 250_000 // 20) for index in range(20)}
    controller = FedAvg(num_clients=2, num_rounds=given.rounds, persistor_id="persistor")
    components = {"persistor": _Nothing(model), "survival": _Clocked()}
    with tempfile.TemporaryDirectory() as folder:
        in_process.run(Job([controller], train, components=components), Path(folder), guarded=False)
    times = [starts[index] for index in sorted(starts)]
    round_ = sum(after - before for before, after in pairwise(times)) / (len(times) - 1)
    held, store = _Clocked.seconds / given.rounds, _ClockedStore
    print(
        f"{given.megabytes} MB: a round takes {round_:.2f} s and is held up for {held:.3f} s "
        f"({held / round_:.1%}); meanwhile a checkpoint is written in {store.seconds / store.written:.2f} s "
        f"({store.cpu / store.written:.2f} s of CPU)"
    )


if __name__ == "__main__":
    main()
