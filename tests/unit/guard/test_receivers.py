"""Failures of analytics receivers, which only log them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.widgets.streaming import AnalyticsReceiver

from fl_app.guard.receivers import (
    MLFLOW_TIMEOUTS,
    ReceiverMonitor,
    restore_mlflow_timeouts,
    shorten_mlflow_timeouts,
)

POINT = DXO(DataKind.ANALYTIC, data={"track_key": "loss", "track_value": 1.0}).to_shareable()


class Receiver(AnalyticsReceiver):
    """A receiver that fails at one step."""

    def __init__(self, fails_at: str = "") -> None:
        super().__init__(events=["point"])
        self.fails_at = fails_at
        self.why = ""

    def initialize(self, fl_ctx: FLContext) -> None:
        self._step("initialize")

    def save(self, fl_ctx: FLContext, shareable: Any, record_origin: str) -> None:
        self._step("save")

    def finalize(self, fl_ctx: FLContext) -> None:
        self._step("finalize")

    def _step(self, name: str) -> None:
        if name == self.fails_at:
            raise RuntimeError(f"cannot {name}{self.why}.\nsecond line")


class KitReceiver(Receiver):
    """A receiver of the kit, which comes with every job."""


KitReceiver.__module__ = "fl_app.tracking.receivers"


class RequestedKitReceiver(KitReceiver):
    wants_metrics = True


RequestedKitReceiver.__module__ = "fl_app.tracking.receivers"


def run(receiver: Receiver, monitor: ReceiverMonitor) -> None:
    context = FLContext()
    context.set_prop(FLContextKey.EVENT_DATA, POINT, private=True, sticky=False)
    for event in (EventType.START_RUN, "point", EventType.END_RUN):
        receiver.handle_event(event, context)
        if event == "point":
            monitor.count_metric()


@pytest.mark.parametrize(
    ("step", "reason"),
    [("save", "could not store metrics"), ("finalize", "could not store the last metrics")],
)
def test_a_failure_is_reported_once_in_one_line_with_its_receiver(step: str, reason: str) -> None:
    receiver = Receiver(step)
    receiver._get_record_origin = lambda *_: "site-1"  # type: ignore[method-assign]
    monitor = ReceiverMonitor("server", {"tracker": receiver})
    run(receiver, monitor)
    monitor.close()
    finding = monitor.next_failure()
    assert finding is not None
    assert finding.line.startswith(f"server, tracker (Receiver): tracking {reason}")
    assert f"cannot {step}. Fix the tracking" in finding.line
    assert monitor.next_failure() is None


@pytest.mark.parametrize("why", [": Connection refused", " (timed out)", ": 503 Service Unavailable"])
def test_a_metric_lost_while_a_tracker_is_unreachable_is_reported_at_the_end(why: str) -> None:
    receiver = Receiver("save")
    receiver.why = why
    receiver._get_record_origin = lambda *_: "site-1"  # type: ignore[method-assign]
    monitor = ReceiverMonitor("server", {"tracker": receiver})
    run(receiver, monitor)
    monitor.close()
    assert monitor.next_failure() is None
    lost = monitor.transient_failure()
    assert lost is not None
    assert f"cannot save{why}" in lost.line


def test_a_receiver_that_did_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    receiver, log = Receiver("initialize"), tmp_path / "error_log.txt"
    monitor = ReceiverMonitor("server", {"tracker": receiver})
    assert "tracking could not start. Fix the tracking" in getattr(monitor.not_started(log), "line", "")
    log.write_text("... - Receiver initialize failed with No module named 'alembic'.\n... - other\n")
    assert "could not start: No module named 'alembic'. Fix the tracking" in getattr(
        monitor.not_started(log), "line", ""
    )
    receiver.fails_at = ""
    run(receiver, monitor)
    assert monitor.not_started(log) is None
    monitor.close()


@pytest.mark.parametrize(
    ("receiver", "expected"), [(Receiver, True), (KitReceiver, False), (RequestedKitReceiver, True)]
)
def test_a_job_without_metrics_is_reported_only_if_the_user_asked_for_tracking(
    receiver: type[Receiver], expected: bool
) -> None:
    monitor = ReceiverMonitor("server", {"tracker": receiver()})
    assert (monitor.nothing_logged() is not None) is expected
    monitor.count_metric()
    assert monitor.nothing_logged() is None
    monitor.close()


def test_a_job_without_receivers_has_no_findings() -> None:
    monitor = ReceiverMonitor("server", {"persistor": object()})
    assert monitor.nothing_logged() is None
    assert monitor.not_started(Path("absent")) is None


def test_mlflow_timeouts_are_shortened_unless_the_environment_sets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = MLFLOW_TIMEOUTS
    monkeypatch.setenv(first, "60")
    monkeypatch.delenv(second, raising=False)
    shorten_mlflow_timeouts()
    assert os.environ[first] == "60"
    assert os.environ[second] == MLFLOW_TIMEOUTS[second]


def test_a_job_without_a_guard_has_the_default_mlflow_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = MLFLOW_TIMEOUTS
    monkeypatch.setenv(first, "60")
    monkeypatch.setenv(second, MLFLOW_TIMEOUTS[second])
    restore_mlflow_timeouts()
    shorten_mlflow_timeouts()
    assert os.environ[first] == "60"
    assert int(os.environ[second]) > int(MLFLOW_TIMEOUTS[second])
