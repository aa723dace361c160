"""Jobs of a parent: their names, whether they run, and how they ended."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from fl_app.contract import METRICS_KEPT_SECONDS
from fl_app.telemetry.catalogue import RESULTS

LAUNCH_GRACE_SECONDS = 60.0
"""Grace period for a launched job to appear in NVFlare's list."""
LATE_PUSH_SECONDS = 30.0
"""Time after its end in which a job may still push."""
MAX_JOBS = 64
"""Jobs in memory; a new job replaces the one that ended first."""
MAX_NAME = 100


@dataclass
class ParentJob:
    """A job of this parent."""

    id: str
    label: str
    """Name of the job; with ~2, ~3... if another active job has the same name."""
    launched: float
    listed: bool = False
    """Whether NVFlare has listed the job yet."""
    ended: float | None = None


class ParentJobs:
    """Jobs of a parent, from its events and from NVFlare's list of running jobs.

    Args:
        kept: seconds for which a job stays after its end; may be changed.
        clock: monotonic clock, in seconds.
    """

    def __init__(
        self, kept: float = METRICS_KEPT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.running: Callable[[], Collection[str]] = tuple
        """Returns the ids of the jobs that NVFlare lists as running."""
        self.started = 0
        self.finished = Counter(dict.fromkeys(RESULTS, 0))
        self.kept = kept
        self._clock = clock
        self._jobs: dict[str, ParentJob] = {}
        self._with_result: set[str] = set()
        self._lock = threading.Lock()

    def launched(self, job_id: str, name: str = "") -> None:
        """Record the launch of a job; does nothing if the job is active."""
        with self._lock:
            known = self._jobs.get(job_id)
            if known is not None and known.ended is None:
                return
            if known is not None:
                self._forget(job_id)
            self.started += 1
            self._evict()
            label = self._free_label(name[:MAX_NAME] or "unnamed")
            self._jobs[job_id] = ParentJob(job_id, label, self._clock())

    def ended(self, job_id: str, result: str) -> None:
        """Record the end of a job; only the first result counts."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return
            if job.ended is None:
                job.ended = self._clock()
            if job_id not in self._with_result:
                self._with_result.add(job_id)
                self.finished[result] += 1

    def may_push(self, job_id: str) -> bool:
        """Return whether a job is active or ended less than LATE_PUSH_SECONDS ago."""
        with self._lock:
            job = self._jobs.get(job_id)
            return job is not None and (job.ended is None or self._clock() - job.ended <= LATE_PUSH_SECONDS)

    def refresh(self) -> None:
        """Detect jobs whose end was not reported, and forget expired jobs."""
        listed = set(self.running())
        now = self._clock()
        with self._lock:
            for job in list(self._jobs.values()):
                job.listed |= job.id in listed
                is_overdue = job.listed or now - job.launched > LAUNCH_GRACE_SECONDS
                if job.ended is None and job.id not in listed and is_overdue:
                    job.ended = now
                if job.ended is not None and now - job.ended > self.kept:
                    self._forget(job.id)

    def label(self, job_id: str) -> str | None:
        """Return the `job` label of a job; None if the job is unknown or expired."""
        with self._lock:
            job = self._jobs.get(job_id)
            return job.label if job is not None else None

    def active(self) -> Iterator[ParentJob]:
        """Yield the jobs that have not ended."""
        with self._lock:
            yield from [job for job in self._jobs.values() if job.ended is None]

    def known(self) -> set[str]:
        """Return the ids of all jobs in memory."""
        with self._lock:
            return set(self._jobs)

    def _evict(self) -> None:
        while len(self._jobs) >= MAX_JOBS:
            ended = [job for job in self._jobs.values() if job.ended is not None]
            oldest = min(ended or self._jobs.values(), key=lambda job: (job.ended or 0.0, job.launched))
            self._forget(oldest.id)

    def _free_label(self, name: str) -> str:
        """Return a label that no active job has; an ended job with that label is forgotten."""
        active = {job.label for job in self._jobs.values() if job.ended is None}
        number, label = 1, name
        while label in active:
            number += 1
            label = f"{name}~{number}"
        for job in [job for job in self._jobs.values() if job.label == label]:
            self._forget(job.id)
        return label

    def _forget(self, job_id: str) -> None:
        del self._jobs[job_id]
        self._with_result.discard(job_id)
