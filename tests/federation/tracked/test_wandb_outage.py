"""Tracking with W&B's client while a fake of its server is down for a part of the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.queue import QueuedJob, TrackingQueue
from fl_app.tracking.sender_supervisor import SenderSupervisor
from tests.federation.tracked.fake_wandb import FakeWandB
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.extended]

JOB = QueuedJob(id="4f1c", name="hospital", project="clinics", server="flare-server", started=1.0)


def test_values_logged_while_wandb_is_down_arrive_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = FakeWandB()
    wandb.start()
    monkeypatch.setenv("WANDB_BASE_URL", wandb.url)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_MODE", "online")  # other tests of this package set it to offline
    queue = TrackingQueue(tmp_path, "wandb")
    _log(queue, 0)
    supervisor = SenderSupervisor(queue, lambda _: "")
    try:
        eventually(lambda: wandb.history.get(JOB.id), 60, "the first value has arrived")
        wandb.stop()
        _log(queue, 1, 2)
        queue.end(JOB.id, "FINISHED:COMPLETED")
        eventually(lambda: queue.state().error, 60, "the error is recorded")
        wandb.start()
        eventually(lambda: JOB.id in wandb.ended, 120, "the run is closed")
        eventually(lambda: not queue.unfinished(), 30, "the job is removed from the queue")
    finally:
        supervisor.close()
        wandb.stop()

    assert [step["site-1/loss"] for step in wandb.history[JOB.id]] == [0.0, 1.0, 2.0]
    assert wandb.ended == {JOB.id: 0}
    assert (queue.state().sent, queue.state().failed) == (3, 0)


def _log(queue: TrackingQueue, *steps: int) -> None:
    queue.add(JOB, [ScalarPoint(site="site-1", tag="loss", time=1.0, step=n, value=float(n)) for n in steps])
