"""The analytics of the server's job process: the site that logged a value, and values that are lost."""

from __future__ import annotations

import json
from unittest.mock import MagicMock, Mock

import pytest
from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsDataType
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import EventScope, FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.utils.analytix_utils import create_analytic_dxo

from fl_app.guard.finding import Finding
from fl_app.telemetry.push import Outcome
from fl_app.tracking.job import JobAnalytics
from fl_app.tracking.outbox import AnalyticsOutbox
from fl_app.tracking.points import ScalarPoint


@pytest.mark.parametrize(
    ("event", "scope", "site"),
    [
        (ANALYTIC_EVENT_TYPE, EventScope.LOCAL, ""),
        (f"fed.{ANALYTIC_EVENT_TYPE}", EventScope.FEDERATION, "site-1"),
        # from NVFlare's MetricRelay, which receives values of other programs
        (ANALYTIC_EVENT_TYPE, EventScope.FEDERATION, "site-1"),
    ],
)
def test_a_value_has_the_site_that_sent_it_or_none_for_the_server(event: str, scope: str, site: str) -> None:
    logged = create_analytic_dxo("loss", 0.5, AnalyticsDataType.SCALAR, global_step=1).to_shareable()
    logged.set_peer_props({ReservedKey.IDENTITY_NAME: "site-1"})
    context = FLContext()
    context.set_prop(FLContextKey.EVENT_DATA, logged, private=True, sticky=False)
    context.set_prop(FLContextKey.EVENT_SCOPE, scope, private=True, sticky=False)
    analytics = JobAnalytics()
    analytics._outbox = AnalyticsOutbox("job")

    analytics.handle_event(event, context)

    (point,) = json.loads(analytics._outbox.next() or b"")["points"]
    assert (point["site"], point["tag"]) == (site, "loss")


class Pusher:
    """Send the documents of an outbox at once, with the same outcome."""

    def __init__(self, outbox: AnalyticsOutbox, outcome: Outcome) -> None:
        self._outbox, self._outcome = outbox, outcome

    def attach(self, outbox: AnalyticsOutbox) -> None:
        assert outbox is self._outbox

    def flush(self, seconds: float) -> None:
        while self._outbox.next() is not None:
            self._outbox.settle(self._outcome)
            if self._outcome is Outcome.RETRY:
                return


@pytest.mark.parametrize(
    ("logged", "outcome", "event", "expected"),
    [
        (1, Outcome.ACCEPTED, EventType.END_RUN, ""),
        (0, Outcome.INCOMPLETE, EventType.ABOUT_TO_END_RUN, "TensorBoard or a tracker lost"),
        (1, Outcome.INCOMPLETE, EventType.ABOUT_TO_END_RUN, "TensorBoard or a tracker lost"),
        (2, Outcome.REFUSED, EventType.ABOUT_TO_END_RUN, "2 logged values are lost"),
        (3, Outcome.RETRY, EventType.ABOUT_TO_END_RUN, ""),  # the parent may answer before the end
        (3, Outcome.RETRY, EventType.END_RUN, "3 logged values are lost"),
    ],
)
def test_a_job_reports_lost_values_once_before_its_end(
    monkeypatch: pytest.MonkeyPatch, logged: int, outcome: Outcome, event: str, expected: str
) -> None:
    outbox, found, late = AnalyticsOutbox("job"), list[Finding](), list[FLComponent]()
    pusher = Pusher(outbox, outcome)
    monkeypatch.setattr("fl_app.tracking.job.AnalyticsOutbox", lambda _: outbox)
    monkeypatch.setattr("fl_app.tracking.job.job_pusher", lambda: pusher)
    monkeypatch.setattr("fl_app.tracking.job.report", lambda _, finding: found.append(finding))
    engine = MagicMock(ServerEngineSpec, run_manager=Mock(add_handler=late.append))
    context, analytics = FLContext(), JobAnalytics()
    context.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    analytics.handle_event(EventType.START_RUN, context)
    outbox.put(ScalarPoint(tag="loss", step=step, time=0.0, value=1.0) for step in range(logged))

    for _ in range(2):
        for component in (analytics, *late):
            component.handle_event(event, context)

    assert [(one.rule, one.what.startswith(expected)) for one in found] == (
        [("tracking_lost_values", True)] if expected else []
    )
