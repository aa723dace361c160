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


class RunRefusedError(Exception):
    """The tracker will never accept values of this job, for example because its run was deleted."""


def is_refusal(status: int) -> bool:
    """Return whether an HTTP status means that a retry cannot help."""
    return 400 <= status < 500 and status not in (408, 429, 499)


class Receiver(Protocol):
    """A tracker with one run for each job. Every method raises UnavailableError or RunRefusedError."""

    name: str
    batch: int
    """Maximum number of values in a call of `send`."""

    def open(self, job: QueuedJob) -> str:
        """Create or find the run of a job; return its name, which is `job.run` in later calls."""
        ...

    def send(self, job: QueuedJob, points: Sequence[AnyPoint]) -> None:
        """Send values. The same values may be sent twice.

        Raises:
            RefusedError: the tracker refuses one of these values.
        """
        ...

    def close(self, job: QueuedJob) -> None:
        """Close the run of a job that has ended, after all its values were sent."""
        ...


def key_of(job: QueuedJob, point: AnyPoint) -> str:
    """Return the key of a value at a tracker: SITE/TAG."""
    return f"{point.site or job.server}/{point.tag}"
