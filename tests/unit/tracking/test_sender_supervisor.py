"""The supervisor of the sender processes: it restarts a stalled sender."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from fl_app.tracking import sender_supervisor
from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.queue import QueuedJob, TrackingQueue
from fl_app.tracking.sender_supervisor import SenderSupervisor
from tests.waiting import eventually

JOB = QueuedJob(id="one", name="job", project="clinics", server="flare-server", started=1.0)


def test_a_stalled_sender_is_restarted_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(sender_supervisor, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(sender_supervisor, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(sender_supervisor, "POLL_SECONDS", 0.1)
    queue = TrackingQueue(tmp_path, "mlflow")
    queue.add(JOB, [ScalarPoint(site="site-1", tag="loss", time=1.0, step=0, value=0.5)])
    with caplog.at_level(logging.WARNING):
        supervisor = SenderSupervisor(queue, lambda _: "")
        try:
            first = _sender(tmp_path)
            os.kill(first, signal.SIGSTOP)
            eventually(lambda: first not in _senders(tmp_path), 30, "it is killed")
            eventually(lambda: _senders(tmp_path), 30, "another sender runs")
        finally:
            supervisor.close()
    assert "the sender for mlflow made no progress for 0 s and is restarted" in caplog.text
    eventually(lambda: not _senders(tmp_path), 30, "the sender is stopped")


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_database_that_was_deleted_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_replaced: bool
) -> None:
    monkeypatch.setattr(sender_supervisor, "POLL_SECONDS", 0.01)
    queue = TrackingQueue(tmp_path, "mlflow")
    for file in tmp_path.glob("mlflow.sqlite3*"):
        file.rename(tmp_path / f"old.{file.name}")
    other = TrackingQueue(tmp_path, "mlflow") if is_replaced else None
    queue.add(JOB, [ScalarPoint(site="site-1", tag="loss", time=1.0, step=0, value=0.5)])
    supervisor = SenderSupervisor(queue, lambda _: "")
    try:
        eventually(lambda: "mlflow.sqlite3" in caplog.text, 30, "it is reported")
        time.sleep(0.2)
    finally:
        supervisor.close()
    assert caplog.text.count("the check of the queue failed") == 1
    assert ("was replaced; restart the server" in caplog.text) == (other is not None)
    assert not _senders(tmp_path)


def _sender(queue: Path) -> int:
    return eventually(lambda: _senders(queue), 30, "a sender runs")[0]


def _senders(queue: Path) -> list[int]:
    return [
        one.pid
        for one in psutil.Process().children()
        if one.status() != psutil.STATUS_ZOMBIE
        and {"fl_app.tracking.forward", str(queue)} <= set(one.cmdline())
    ]
