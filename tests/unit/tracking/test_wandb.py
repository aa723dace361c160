"""Runs of W&B that arrive late or are refused, with W&B's client and a fake of its server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from tenacity import RetryCallState

from fl_app.tracking.forward import wandb_run
from fl_app.tracking.forward.forwarder import Forwarder
from fl_app.tracking.forward.receiver import UnavailableError
from fl_app.tracking.forward.wandb_run import WandB
from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.queue import QueuedJob, TrackingQueue
from tests.federation.tracked.fake_wandb import FakeWandB

JOB = QueuedJob("one", "job", "clinics", "flare-server", 1.0, status="FINISHED:COMPLETED")
NEXT = QueuedJob("two", "next", "clinics", "flare-server", 2.0)


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
    monkeypatch.setenv("WANDB_MODE", "offline")
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
    tracker.open(JOB)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="not all values of the run have arrived"):
            tracker.close(JOB)

    back.set()
    monkeypatch.setattr(wandb_run, "CLOSE_SECONDS", 60.0)
    tracker.close(JOB)

    assert run.ended == [0]


def test_a_run_is_opened_again_if_the_client_fails_to_close_it(runs: list[Run], tmp_path: Path) -> None:
    def breaks() -> Any:
        raise ConnectionResetError("Connection lost")

    second = Run(lambda: None)
    runs += [Run(breaks), second]
    tracker = WandB(tmp_path)
    tracker.open(JOB)
    with pytest.raises(UnavailableError, match="ConnectionResetError: Connection lost"):
        tracker.close(JOB)

    tracker.open(JOB)
    tracker.close(JOB)

    assert second.ended == [0]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWandB]:
    server = FakeWandB()
    server.start()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.teardown()  # the client reads its settings once
    yield server
    wandb.teardown()
    server.stop()


def forward(
    folder: Path, jobs: list[QueuedJob], wait: Callable[[RetryCallState], float], reports: list[str]
) -> None:
    """Send a value of each job."""
    queue = TrackingQueue(folder, "wandb")
    for job in jobs:
        queue.add(job, [ScalarPoint(site="site-1", tag="loss", time=1.0, value=0.5)])
        queue.end(job.id, "FINISHED:COMPLETED")
    forwarder = Forwarder(WandB(folder), queue, wait, reports.append)
    while forwarder.forward()[0]:
        pass


@pytest.mark.parametrize("is_running", [False, True])
def test_a_run_that_starts_while_wandb_is_down_is_sent_later(
    server: FakeWandB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_running: bool
) -> None:
    monkeypatch.setattr(wandb_run, "INIT_SECONDS", 2)
    reports: list[str] = []
    if is_running:
        server.refused["upsertBucket", JOB.id] = 500
    else:
        server.stop()

    def repair(_: RetryCallState) -> float:
        server.refused.clear()
        if not is_running:
            server.start()
        return 0.0

    forward(tmp_path, [JOB], repair, reports)

    assert server.ended == {JOB.id: 0}
    assert reports[1:] == ["wandb is available again"]


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (("upsertBucket", 403), "HTTP 403: permission denied"),
        (("upsertBucket", 409), "HTTP 409: Timed out while retrying: HTTP 409: permission denied"),
        (("file_stream", 404), "404 Not Found"),
    ],
)
def test_a_refused_run_is_reported_with_its_reason_and_the_next_run_is_sent(
    server: FakeWandB,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: tuple[str, int],
    reason: str,
) -> None:
    monkeypatch.setattr(wandb_run, "INIT_SECONDS", 2)
    request, server.refused[refused[0], JOB.id] = refused
    reports: list[str] = []

    def unavailable(state: RetryCallState) -> float:
        pytest.fail(str(state.outcome))

    forward(tmp_path, [JOB, NEXT], unavailable, reports)

    assert server.ended == {NEXT.id: 0}
    queue = TrackingQueue(tmp_path, "wandb")
    assert queue.state().failed == 1
    assert queue.add(JOB, []) == 1, "the job learns that values are lost"
    assert server.history[NEXT.id][0]["site-1/loss"] == 0.5
    (report,) = reports
    assert f"wandb refused the run of job {JOB.name} ({JOB.id}): " in report
    assert reason in report
    left = {file.name.rpartition("-")[2] for file in (tmp_path / "wandb-runs" / "wandb").glob("run-*")}
    assert left == ({JOB.id} if request == "file_stream" else set()), "only what was not sent is kept"
