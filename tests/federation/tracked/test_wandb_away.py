"""W&B's own client and the kit's sender against a stand-in for its server that goes away in mid-job."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.tracking.points import Scalar
from fl_app.tracking.queue import QueuedJob, TrackingQueue, totals_of
from fl_app.tracking.sending import Sending
from tests.federation.tracked.wandb_stand_in import WandBStandIn
from tests.waiting import eventually

pytestmark = pytest.mark.federation

JOB = QueuedJob(id="4f1c", name="hospital", project="clinics", server="flare-server", started=1.0)


def test_what_is_logged_while_wandb_is_away_is_there_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = WandBStandIn()
    wandb.start()
    monkeypatch.setenv("WANDB_BASE_URL", wandb.url)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_MODE", "online")  # the tests beside this one are offline
    queue = TrackingQueue(tmp_path, ["wandb"])
    _log(queue, 0)
    sender = Sending(queue, lambda _: "")
    try:
        eventually(lambda: wandb.history.get(JOB.id), 60, "the first value is there")
        wandb.stop()
        _log(queue, 1, 2)
        queue.end(JOB.id, "FINISHED:COMPLETED")
        eventually(lambda: totals_of(tmp_path, "wandb").trouble, 60, "that it is away is told")
        wandb.start()
        eventually(lambda: JOB.id in wandb.ended, 120, "the run has ended")
        eventually(lambda: not (tmp_path / JOB.id).exists(), 30, "nothing is left in the queue")
    finally:
        sender.close()
        wandb.stop()

    assert [step["site-1/loss"] for step in wandb.history[JOB.id]] == [0.0, 1.0, 2.0]
    assert wandb.ended == {JOB.id: 0}
    assert (totals_of(tmp_path, "wandb").sent, totals_of(tmp_path, "wandb").failed) == (3, 0)


def _log(queue: TrackingQueue, *steps: int) -> None:
    queue.add(JOB, [Scalar(site="site-1", tag="loss", time=1.0, step=n, value=float(n)) for n in steps])
