"""The end of a run at W&B: its client waits there for its server, and the sender does not wait with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fl_app.tracking.forward import wandb_run
from fl_app.tracking.forward.receiver import Unreachable
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
    """What its client opens, one after the other."""
    made: list[Run] = []
    monkeypatch.setattr("wandb.init", lambda **_: made.pop(0))
    return made


def test_a_run_whose_values_have_not_arrived_is_said_and_ends_when_they_have(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_run, "END_SECONDS", 0.1)
    back = threading.Event()
    run = Run(lambda: back.wait(60))
    runs.append(run)
    tracker = WandB(tmp_path)
    name = tracker.open(JOB, "")
    for _ in range(2):
        with pytest.raises(Unreachable, match="not all arrived"):
            tracker.end(JOB, name)

    back.set()
    monkeypatch.setattr(wandb_run, "END_SECONDS", 60.0)
    tracker.end(JOB, name)

    assert run.ended == [0]


def test_a_client_that_breaks_while_a_run_ends_is_said_and_the_run_opened_again(
    runs: list[Run], tmp_path: Path
) -> None:
    def breaks() -> Any:
        raise ConnectionResetError("Connection lost")

    second = Run(lambda: None)
    runs += [Run(breaks), second]
    tracker = WandB(tmp_path)
    name = tracker.open(JOB, "")
    with pytest.raises(Unreachable, match="ConnectionResetError: Connection lost"):
        tracker.end(JOB, name)

    tracker.end(JOB, name)

    assert second.ended == [0]
