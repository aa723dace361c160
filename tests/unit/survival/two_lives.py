"""A job whose server process is killed in mid-round, and a second process that starts with its files."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel

from fl_app.survival.component import JobSurvival
from tests.unit.guard.in_process import Ended, Job, run
from tests.unit.guard.in_process.job import JOB, Train

_DELAYS = random.Random()
SITES = ("site-1", "site-2", "site-3")


class Killed(RuntimeError):  # noqa: N818 - the end of a life
    """The end of the first process."""


@dataclass
class Life:
    """What one process of the server did."""

    ended: Ended
    job: Job
    trained: list[tuple[str, int]] = field(default_factory=list)
    """Site and round, from 0, of each task."""
    told: list[tuple[int, int]] = field(default_factory=list)
    """First round and number of rounds that the sites were told."""

    @property
    def rounds(self) -> list[int]:
        """Rounds that were trained, in order."""
        return sorted({number for _, number in self.trained})


def training(site: str, received: FLModel) -> dict[str, Any]:
    """Return weights that depend on the site and the round only, and whose sum depends on the order."""
    numbers = np.random.default_rng([int(site[-1]), received.current_round or 0])
    return {
        name: value + _like(value, numbers.normal(size=tuple(value.shape)))
        for name, value in received.params.items()
    }


def _like(value: Any, numbers: Any) -> Any:
    if hasattr(value, "detach"):
        import torch

        return torch.as_tensor(numbers).to(value.dtype)
    return np.asarray(numbers).astype(value.dtype)


def live(
    make: Callable[[], Job],
    folder: Path,
    *,
    kill_in_round: int | None = None,
    copy_to: Path | None = None,
    occurrence: int = 1,
) -> Life:
    """Run a job; at a kill, copy what is on disk while the sites train, and end this process of the job.

    Args:
        make: makes the job; its `train` is called for every task.
        folder: the server's workspace.
        kill_in_round: round, from 0, in which the server is killed; None to run until the end.
        copy_to: receives the workspace as it is at the kill.
        occurrence: which of several workflows with such a round, from 1.
    """
    job = make()
    life = Life(Ended(folder), job)
    lock = threading.Lock()
    train: Train = job.train

    def recorded(site: str, received: FLModel) -> Any:
        time.sleep(_DELAYS.uniform(0, 0.02))  # so that the results arrive in any order
        number = received.current_round or 0
        with lock:
            life.trained.append((site, number))
            life.told.append((received.start_round or 0, received.total_rounds or 0))
            is_here = life.trained.count((site, number)) == occurrence and number == kill_in_round
            if is_here and copy_to is not None and not copy_to.exists():
                _wait_for_checkpoint(folder)
                shutil.copytree(folder, copy_to)
                raise Killed
        return train(site, received)

    job.train = recorded
    job.components = {"survival": JobSurvival(), **job.components}
    life.ended = run(job, folder)
    return life


def _wait_for_checkpoint(folder: Path) -> None:
    """Wait until the checkpoint of the round is written: the kill is in the middle of the training."""
    seen: set[Path] | None = None
    while (
        seen is None
        or seen != (found := set(folder.rglob("*")))
        or any(one.suffix == ".new" for one in found)
    ):
        seen = set(folder.rglob("*"))
        time.sleep(0.1)


def killed_and_resumed(
    make: Callable[[], Job], folder: Path, round: int, keeps_run: bool = True, occurrence: int = 1
) -> Life:
    """Return the second life of a job that is killed in a round, from 0.

    Args:
        keeps_run: whether the run folder outlives the first process, as it does on a machine; it does not in
            a pod, or when the job is deployed again.
        occurrence: which of several workflows with such a round, from 1.
    """
    live(make, folder / "first", kill_in_round=round, copy_to=folder / "second", occurrence=occurrence)
    if not keeps_run:
        shutil.rmtree(folder / "second" / JOB)
    return live(make, folder / "second")


def last_model(life: Life) -> Any:
    return life.ended.models[-1]


def assert_same_bits(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        twin = other[name]
        assert type(value) is type(twin)
        assert value.dtype == twin.dtype
        assert _bytes_of(value) == _bytes_of(twin), name


def _bytes_of(value: Any) -> bytes:
    if hasattr(value, "detach"):
        import torch

        value = value.detach().reshape(-1).view(torch.uint8).numpy()
    return bytes(np.asarray(value).tobytes())
