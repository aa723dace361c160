"""Interface of a receiver, which sends values to one kind of tracker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fl_app.tracking.points import AnyPoint
from fl_app.tracking.queue import QueuedJob


class UnavailableError(Exception):
    """The tracker does not answer, or cannot accept values now; the call is retried."""


class RefusedError(Exception):
    """The tracker will never accept these values."""


class Receiver(Protocol):
    """A tracker with one run for each job. Every method raises UnavailableError or RefusedError."""

    name: str
    batch: int
    """Maximum number of values in a call of `send`."""

    def open(self, job: QueuedJob, run: str) -> str:
        """Create or find the run of a job; return its name.

        Args:
            job: the job.
            run: name that an earlier call returned; "" at the first call.
        """
        ...

    def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        """Send values. The same values may be sent twice."""
        ...

    def close(self, job: QueuedJob, run: str) -> None:
        """Close the run of a job that has ended, after all its values were sent."""
        ...


def key_of(job: QueuedJob, point: AnyPoint) -> str:
    """Return the key of a value at a tracker: SITE/TAG."""
    return f"{point.site or job.server}/{point.tag}"
