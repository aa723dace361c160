"""The processes that send what waits: one that hangs is started again."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import psutil
import pytest

from fl_app.tracking import sending
from fl_app.tracking.points import Scalar
from fl_app.tracking.queue import QueuedJob, TrackingQueue, totals_of
from fl_app.tracking.sending import Sending
from tests.waiting import eventually

JOB = QueuedJob(id="one", name="job", project="clinics", server="flare-server", started=1.0)


def test_a_sender_that_hangs_is_started_again_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(sending, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(sending, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.1)
    queue = TrackingQueue(tmp_path, ["mlflow"])
    queue.add(JOB, [Scalar(site="site-1", tag="loss", time=1.0, step=0, value=0.5)])
    with caplog.at_level(logging.WARNING):
        sender = Sending(queue, lambda _: "")
        try:
            first = _sends(tmp_path)
            os.kill(first, signal.SIGSTOP)
            eventually(lambda: first not in _senders(tmp_path), 30, "it is ended")
            eventually(lambda: _senders(tmp_path), 30, "another one sends")
        finally:
            sender.close()
    assert "mlflow has sent nothing and said nothing" in caplog.text
    eventually(lambda: not _senders(tmp_path), 30, "it ends with the parent")


@pytest.mark.parametrize("seconds", ["", "120", "soon"])
def test_a_tracker_that_is_not_there_is_told_in_seconds_whatever_mlflow_is_set_to(
    seconds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")  # MLflow's default: it sleeps for four minutes
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", seconds)
    queue = TrackingQueue(tmp_path, ["mlflow"])
    queue.add(JOB, [Scalar(site="site-1", tag="loss", time=1.0, step=0, value=0.5)])
    sender = Sending(queue, lambda _: "")
    try:
        eventually(lambda: "Connection refused" in totals_of(tmp_path, "mlflow").trouble, 60, "it is told")
    finally:
        sender.close()


def _sends(queue: Path) -> int:
    eventually(lambda: _senders(queue), 30, "it sends")
    return _senders(queue)[0]


def _senders(queue: Path) -> list[int]:
    return [
        one.pid
        for one in psutil.Process().children()
        if one.status() != psutil.STATUS_ZOMBIE
        and {"fl_app.tracking.forward", str(queue)} <= set(one.cmdline())
    ]
