"""What a tracker must be able to do, and how it says that it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fl_app.tracking.points import AnyPoint
from fl_app.tracking.queue import QueuedJob


class Unreachable(Exception):  # noqa: N818 - its text is what a person reads
    """The tracker does not answer, or cannot take anything now: to be tried again."""


class NotTaken(Exception):  # noqa: N818 - its text is what a person reads
    """The tracker will never take this."""


class Receiver(Protocol):
    """A tracker: one run a job, values prefixed with their site. Made when there is something to send."""

    name: str
    batch: int
    """How many points it takes at once."""

    def open(self, job: QueuedJob, run: str) -> str:
        """Begin or find the job's run, and return what the tracker calls it.

        Args:
            job: the job.
            run: what an earlier `open` returned; empty at first.

        Raises:
            Unreachable, NotTaken
        """
        ...

    def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        """Take points; the same ones may come twice.

        Raises:
            Unreachable, NotTaken
        """
        ...

    def end(self, job: QueuedJob, run: str) -> None:
        """Close the run of a job that has ended; all its points have been sent.

        Raises:
            Unreachable, NotTaken
        """
        ...


def key_of(job: QueuedJob, point: AnyPoint) -> str:
    """SITE/TAG."""
    return f"{point.site or job.server}/{point.tag}"
