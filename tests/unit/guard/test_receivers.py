"""What the guard hears of analytics receivers, which say their failures in a log and nowhere else."""

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

from fl_app.guard.tracking import HURRY, ReceiverWatch, hurry, keep_own_pace

POINT = DXO(DataKind.ANALYTIC, data={"track_key": "loss", "track_value": 1.0}).to_shareable()


class Receiver(AnalyticsReceiver):
    """Fails where it is told to."""

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


class OwnReceiver(Receiver):
    """As if of the kit: it comes with every job."""


OwnReceiver.__module__ = "fl_app.tracking.receivers"


class OwnReceiverAskedFor(OwnReceiver):
    wants_metrics = True


OwnReceiverAskedFor.__module__ = "fl_app.tracking.receivers"


def run(receiver: Receiver, watch: ReceiverWatch) -> None:
    context = FLContext()
    context.set_prop(FLContextKey.EVENT_DATA, POINT, private=True, sticky=False)
    for event in (EventType.START_RUN, "point", EventType.END_RUN):
        receiver.handle_event(event, context)
        if event == "point":
            watch.count_point()


@pytest.mark.parametrize(
    ("step", "words"), [("save", "could not store what was logged"), ("finalize", "could not store the last")]
)
def test_a_failure_is_heard_once_with_its_receiver_and_in_one_line(step: str, words: str) -> None:
    receiver = Receiver(step)
    receiver._get_record_origin = lambda *_: "site-1"  # type: ignore[method-assign]
    watch = ReceiverWatch("server", {"tracker": receiver})
    run(receiver, watch)
    watch.close()
    finding = watch.take()
    assert finding is not None
    assert finding.line.startswith(f"server, tracker (Receiver): tracking {words}")
    assert f"cannot {step}. Mend it" in finding.line
    assert watch.take() is None


@pytest.mark.parametrize("why", [": Connection refused", " (timed out)", ": 503 Service Unavailable"])
def test_what_is_lost_while_a_tracker_is_out_of_reach_is_said_at_the_end_of_the_job(why: str) -> None:
    receiver = Receiver("save")
    receiver.why = why
    receiver._get_record_origin = lambda *_: "site-1"  # type: ignore[method-assign]
    watch = ReceiverWatch("server", {"tracker": receiver})
    run(receiver, watch)
    watch.close()
    assert watch.take() is None
    lost = watch.lost()
    assert lost is not None
    assert f"cannot save{why}" in lost.line


def test_a_receiver_that_did_not_start_is_named_with_what_it_said_in_the_log(tmp_path: Path) -> None:
    receiver, log = Receiver("initialize"), tmp_path / "error_log.txt"
    watch = ReceiverWatch("server", {"tracker": receiver})
    assert "tracking could not start. Mend it" in getattr(watch.not_started(log), "line", "")
    log.write_text("... - Receiver initialize failed with No module named 'alembic'.\n... - other\n")
    assert "could not start: No module named 'alembic'. Mend it" in getattr(
        watch.not_started(log), "line", ""
    )
    receiver.fails_at = ""
    run(receiver, watch)
    assert watch.not_started(log) is None
    watch.close()


@pytest.mark.parametrize(
    ("receiver", "expected"), [(Receiver, True), (OwnReceiver, False), (OwnReceiverAskedFor, True)]
)
def test_nothing_logged_counts_only_where_somebody_asked_for_tracking(
    receiver: type[Receiver], expected: bool
) -> None:
    watch = ReceiverWatch("server", {"tracker": receiver()})
    assert (watch.nothing_logged() is not None) is expected
    watch.count_point()
    assert watch.nothing_logged() is None
    watch.close()


def test_a_job_without_receivers_has_nothing_to_log() -> None:
    watch = ReceiverWatch("server", {"persistor": object()})
    assert watch.nothing_logged() is None
    assert watch.not_started(Path("absent")) is None


def test_mlflow_is_told_to_hurry_unless_somebody_has_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = HURRY
    monkeypatch.setenv(first, "60")
    monkeypatch.delenv(second, raising=False)
    hurry()
    assert os.environ[first] == "60"
    assert os.environ[second] == HURRY[second]


def test_a_job_without_a_guard_takes_mlflows_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = HURRY
    monkeypatch.setenv(first, "60")
    monkeypatch.setenv(second, HURRY[second])
    keep_own_pace()
    hurry()
    assert os.environ[first] == "60"
    assert int(os.environ[second]) > int(HURRY[second])
