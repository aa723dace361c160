"""What a parent counts of its jobs, and of what they push."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

from fl_app.telemetry.intake import Intake
from fl_app.telemetry.metrics import Identity, counter_of
from fl_app.telemetry.roster import Roster


class Counts:
    """Jobs that started and ended, and documents that were dropped: from zero on, so that rates are right.

    Args:
        identity: whose they are.
        roster: the parent's jobs.
        intake: what takes their documents.
    """

    def __init__(self, identity: Identity, roster: Roster, intake: Intake) -> None:
        self._identity = identity
        self._roster = roster
        self._intake = intake

    def __call__(self) -> Iterable[Metric]:
        """As they are now."""
        own = self._identity.labels
        started, finished, dropped = families = (
            counter_of("jobs_started_total"),
            counter_of("jobs_finished_total"),
            counter_of("telemetry_dropped_total"),
        )
        started.add_metric(own, self._roster.started)
        for result, number in self._roster.finished.items():
            finished.add_metric((*own, result), number)
        for reason, number in self._intake.dropped.items():
            dropped.add_metric((*own, reason), number)
        return families
