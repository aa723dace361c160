"""Metrics of tracking: backlog, sent and failed values of each receiver."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import ParentIdentity, counter_of, gauge_of
from fl_app.tracking.queue import TrackingQueue


class TrackingCollector:
    """Collect the metrics of tracking at every scrape."""

    def __init__(self, identity: ParentIdentity, queues: Sequence[TrackingQueue]) -> None:
        self._identity = identity
        self._queues = queues

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        backlog, sent, failed = families = (
            gauge_of("tracking_backlog"),
            counter_of("tracking_sent_total"),
            counter_of("tracking_failed_total"),
        )
        for queue in self._queues:
            labels = (*self._identity.labels, queue.receiver)
            state = queue.state()
            backlog.add_metric(labels, state.backlog)
            sent.add_metric(labels, state.sent)
            failed.add_metric(labels, state.failed)
        return families
