"""How tracking goes, as metrics of the server's parent."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fl_app.telemetry.metrics import Identity, counter_of, gauge_of
from fl_app.tracking.queue import TrackingQueue, queued_jobs, totals_of


class TrackingCollector(Collector):
    """Yields the backlog, and what was sent and failed, of each receiver.

    Args:
        identity: the server.
        queue: what its jobs logged.
    """

    def __init__(self, identity: Identity, queue: TrackingQueue) -> None:
        self._identity = identity
        self._queue = queue

    def describe(self) -> Iterable[Metric]:
        """The families without values, so that registering asks nobody."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """As it is now."""
        backlog, sent, failed = families = self._families()
        no_room = sum(job.refused for job in queued_jobs(self._queue.root))
        for receiver in self._queue.receivers:
            labels = (*self._identity.labels, receiver)
            totals = totals_of(self._queue.root, receiver)
            backlog.add_metric(labels, self._queue.backlog(receiver))
            sent.add_metric(labels, totals.sent)
            failed.add_metric(labels, totals.failed + no_room)
        return families

    def _families(self) -> tuple[GaugeMetricFamily, CounterMetricFamily, CounterMetricFamily]:
        return (
            gauge_of("tracking_backlog"),
            counter_of("tracking_sent_total"),
            counter_of("tracking_failed_total"),
        )
