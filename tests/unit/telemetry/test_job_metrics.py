"""Metrics of the server's job process from NVFlare's events."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from nvflare.apis.event_type import EventType

from fl_app.telemetry.job_metrics import ServerJobMetrics
from fl_app.telemetry.measurements import Measurements


def test_the_rounds_of_each_site_start_at_zero() -> None:
    """An alert names a site that is lost before it has finished a round."""
    measurements = Measurements()
    clients = [SimpleNamespace(name="site-1"), SimpleNamespace(name="site-2")]
    context: Any = SimpleNamespace(get_engine=lambda: SimpleNamespace(get_clients=lambda: clients))
    for _ in range(2):  # a second event adds nothing
        ServerJobMetrics(measurements).handlers[EventType.START_RUN](context)

    document = measurements.next()
    assert document is not None
    values = {(name, *labels): value for name, labels, value in json.loads(document)["values"]}
    assert values == {
        (name, site): 0.0
        for name in ("rounds_participated_total", "rounds_missed_total")
        for site in ("site-1", "site-2")
    }
