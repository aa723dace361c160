"""Closing a run of W&B: its client blocks until its server answers, but the sender does not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fl_app.tracking.forward import wandb_run
from fl_app.tracking.forward.receiver import UnavailableError
from fl_app.tracking.forward.wandb_run import WandB
from fl_app.tracking.queue import QueuedJob

JOB = QueuedJob(
    id="one", name="job", project="clinics", server="flare-server", started=1.0, status="FINISHED:COMPLETED"
)


class Run:
    """A run of W&B's client."""

    def __init__(self, finish: Callable[[], object]) -> None:
        self._finish = finish
        self.ended: list[int] = []

    def finish(self, exit_code: int) -> None:
        self._finish()
        self.ended.append(exit_code)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the runs that W&B's client opens, in order."""
    opened: list[Run] = []
    monkeypatch.setattr("wandb.init", lambda **_: opened.pop(0))
    return opened


def test_a_run_is_closed_when_its_values_have_arrived(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_run, "CLOSE_SECONDS", 0.1)
    back = threading.Event()
    run = Run(lambda: back.wait(60))
    runs.append(run)
    tracker = WandB(tmp_path)
    name = tracker.open(JOB, "")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="not all values of the run have arrived"):
            tracker.close(JOB, name)

    back.set()
    monkeypatch.setattr(wandb_run, "CLOSE_SECONDS", 60.0)
    tracker.close(JOB, name)

    assert run.ended == [0]


def test_a_run_is_opened_again_if_the_client_fails_to_close_it(runs: list[Run], tmp_path: Path) -> None:
    def breaks() -> Any:
        raise ConnectionResetError("Connection lost")

    second = Run(lambda: None)
    runs += [Run(breaks), second]
    tracker = WandB(tmp_path)
    name = tracker.open(JOB, "")
    with pytest.raises(UnavailableError, match="ConnectionResetError: Connection lost"):
        tracker.close(JOB, name)

    tracker.close(JOB, name)

    assert second.ended == [0]
