"""Follows a job until it ends, from nothing but an administrator's session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.errors import Failed
from deploy.session.session import RUNNING, AdminSession, Job
from fl_app.telemetry.job_progress import JobProgress

POLL = 0.1
"""Seconds between two questions for a job's status while much happens."""
LONGEST_POLL = 1.0
"""The same for a job of which nothing has been new for long: each question costs the server."""
PATIENCE = 20.0
"""Seconds without news after which it is asked that seldom."""
PROGRESS_EVERY = 0.3
"""Seconds between two questions for its progress, which go to the job's own process."""
UNTOLD_EVERY = 1.0
"""The same until it has told any: of a question that no process takes yet, the server's log has two lines of
error."""


@dataclass(frozen=True)
class Sighting:
    """A job at one moment."""

    job: Job
    progress: JobProgress | None
    """The last that its process told; None before it told any."""


def watch(session: AdminSession, job_id: str, timeout: float | None = None) -> Iterator[Sighting]:
    """See the job each time that anything about it has changed; the last sighting is that of its end.

    Args:
        session: whose questions these are.
        job_id: which job.
        timeout: seconds after which to stop watching; None: until it ends.

    Raises:
        InputError: there is no such job.
        Failed: it has not ended in time; it goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    progress: JobProgress | None = None
    seen: Sighting | None = None
    asked, changed = -UNTOLD_EVERY, time.monotonic()
    while True:
        job = session.job(job_id)
        if not _can_be_asked(job):
            asked = time.monotonic()  # its process is only started from now on
        elif time.monotonic() - asked >= (PROGRESS_EVERY if progress else UNTOLD_EVERY):
            progress = session.progress(job_id) or progress
            asked = time.monotonic()
        now = Sighting(job, progress)
        if now != seen:
            seen, changed = now, time.monotonic()
            yield now
        if job.is_finished:
            return
        if deadline is not None and time.monotonic() > deadline:
            reason = job.waits_for or job.server_waits_for
            raise Failed(
                f"the job {job_id} has not ended within {timeout:.0f} s: it is {job.status}"
                f"{f' ({reason})' if reason else ''}, and goes on. "
                f"See how it is: flarefleet watch {job_id}"
            )
        time.sleep(pause_after(time.monotonic() - changed))


def pause_after(quiet: float) -> float:
    """Seconds to the next question, when nothing has been new for `quiet` seconds."""
    return max(POLL, min(1.0, quiet / PATIENCE) * LONGEST_POLL)


def _can_be_asked(job: Job) -> bool:
    """Whether its process on the server may be there to tell how far it is."""
    return job.status == RUNNING and not job.server_waits_for
