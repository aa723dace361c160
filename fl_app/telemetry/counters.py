"""Counters of a parent: jobs that it started, jobs that ended, and documents that it dropped."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import ParentIdentity, counter_of
from fl_app.telemetry.parent_jobs import ParentJobs
from fl_app.telemetry.push_gateway import PushGateway


class JobCounters:
    """Counters of a parent. Every label value starts at zero, so that `rate()` sees the first increase."""

    def __init__(self, identity: ParentIdentity, jobs: ParentJobs, gateway: PushGateway) -> None:
        self._identity = identity
        self._jobs = jobs
        self._gateway = gateway

    def __call__(self) -> Iterable[Metric]:
        """Return the current values."""
        labels = self._identity.labels
        started, finished, dropped = families = (
            counter_of("jobs_started_total"),
            counter_of("jobs_finished_total"),
            counter_of("telemetry_dropped_total"),
        )
        started.add_metric(labels, self._jobs.started)
        for result, number in self._jobs.finished.items():
            finished.add_metric((*labels, result), number)
        for reason, number in self._gateway.dropped.items():
            dropped.add_metric((*labels, reason), number)
        return families
