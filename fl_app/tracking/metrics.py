"""Metrics of tracking: backlog, sent and failed values of each receiver."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import ParentIdentity, family_of
from fl_app.tracking.queue import TrackingQueue


class TrackingCollector:
    """Collect the metrics of tracking at every scrape."""

    def __init__(self, identity: ParentIdentity, queue: TrackingQueue) -> None:
        self._identity = identity
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        receivers = {(*self._identity.labels, receiver): receiver for receiver in self._queue.receivers}
        states = {labels: self._queue.state(receiver) for labels, receiver in receivers.items()}
        yield family_of("tracking_backlog", {key: self._queue.backlog(one) for key, one in receivers.items()})
        yield family_of("tracking_sent_total", {key: state.sent for key, state in states.items()})
        yield family_of("tracking_failed_total", {key: state.failed for key, state in states.items()})
