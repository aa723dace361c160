"""The site that logged a value, from the event in the server's job process."""

from __future__ import annotations

import json

import pytest
from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsDataType
from nvflare.apis.fl_constant import EventScope, FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.utils.analytix_utils import create_analytic_dxo

from fl_app.tracking.job import JobAnalytics
from fl_app.tracking.outbox import AnalyticsOutbox


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
