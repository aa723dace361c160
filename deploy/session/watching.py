"""Watch a job until it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.errors import Failed
from deploy.session.session import RUNNING, AdminSession, Job
from fl_app.telemetry.job_progress import JobProgress

MIN_POLL_INTERVAL = 0.1
"""Seconds between two requests for the status of a job that changes often."""
MAX_POLL_INTERVAL = 1.0
"""Seconds between two requests for the status of a job that rarely changes."""
SLOWDOWN_SECONDS = 20.0
"""Seconds without a change until the interval has grown to its maximum."""
PROGRESS_INTERVAL = 0.3
"""Seconds between two requests for the progress, which go to the job process."""
FIRST_PROGRESS_INTERVAL = 1.0
"""The same before the first answer: the server logs two errors for each unanswered request."""
SERVER_PATIENCE = 3600.0
"""Seconds for which a watched job's server may be away: the job continues when it is back."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a job at one moment."""

    job: Job
    progress: JobProgress | None
    """The last answer of the job process; None before its first answer."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the guard so far."""
        return self.job.warnings or (self.progress.warnings if self.progress else ())


def watch(
    session: AdminSession, job_id: str, timeout: float | None = None, *, again: str = ""
) -> Iterator[Snapshot]:
    """Return a snapshot of the job after each change, until it has ended.

    Args:
        timeout: seconds until watching ends (default: no limit).
        again: the command that watches the job again, for the message after the timeout.

    Raises:
        InputError: there is no such job.
        Failed: the job has not ended within the timeout; it continues.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    progress: JobProgress | None = None
    last: Snapshot | None = None
    requested, changed = -FIRST_PROGRESS_INTERVAL, time.monotonic()
    while True:
        job = session.job(job_id) if deadline is None else session.job(job_id, deadline - time.monotonic())
        if job.status != RUNNING or job.server_waits_for:
            requested = time.monotonic()  # the job process starts only from now on
        elif time.monotonic() - requested >= (PROGRESS_INTERVAL if progress else FIRST_PROGRESS_INTERVAL):
            progress = _later(session.progress(job_id), progress)
            requested = time.monotonic()
        now = Snapshot(job, job.progress or progress)
        if now != last:
            last, changed = now, time.monotonic()
            yield now
        if job.is_finished:
            return
        if deadline is not None and time.monotonic() > deadline:
            reason = job.waits_for or job.server_waits_for
            raise Failed(
                f"the job {job_id} has not ended within {timeout:.0f} s: it is {job.status}"
                f"{f' ({reason})' if reason else ''} and continues. "
                f"Watch it: {again or f'flarefleet watch {job_id}'}"
            )
        time.sleep(poll_interval(time.monotonic() - changed))


def _later(answer: JobProgress | None, before: JobProgress | None) -> JobProgress | None:
    """Return the progress to show; a job process that was started again has none before its first round."""
    is_restoring = answer is not None and answer.round is None
    return before if before is not None and (answer is None or is_restoring) else answer


def poll_interval(idle: float) -> float:
    """Return the seconds until the next request if nothing has changed for `idle` seconds."""
    return max(MIN_POLL_INTERVAL, min(1.0, idle / SLOWDOWN_SECONDS) * MAX_POLL_INTERVAL)
