"""The jobs of a parent: which run here, which ended how, and under which name each is shown."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from fl_app.telemetry.catalogue import RESULTS

KEPT_SECONDS = 600.0
"""For which a finished job's series stay, unless FLARE_METRICS_KEPT says otherwise."""
LAUNCH_SECONDS = 60.0
"""In which NVFlare must list a job that it launched; one that it listed and lists no more has ended."""
LAST_WORDS_SECONDS = 30.0
"""For which a job that has ended may still push."""
JOBS = 64
"""Remembered at most; of those that ended, the oldest is forgotten for a new one."""
NAME_LENGTH = 100


@dataclass
class Job:
    """A job of this parent."""

    id: str
    label: str
    """Its name; with ~2, ~3... if another active job has that name."""
    launched: float
    listed: bool = False
    """Whether NVFlare has listed it yet."""
    ended: float | None = None


class Roster:
    """Follows jobs by what the parent's events say, and by which jobs NVFlare lists.

    Args:
        kept: seconds for which a job stays after its end; may be changed.
        clock: seconds, monotonic.
    """

    def __init__(self, kept: float = KEPT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self.running: Callable[[], Collection[str]] = tuple
        """The ids of the jobs that NVFlare lists as running."""
        self.started = 0
        self.finished = Counter(dict.fromkeys(RESULTS, 0))
        self.kept = kept
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._results: set[str] = set()
        self._lock = threading.Lock()

    def launched(self, job_id: str, name: str) -> None:
        """A job is about to begin here; said again while it runs, it changes nothing."""
        with self._lock:
            known = self._jobs.get(job_id)
            if known is not None and known.ended is None:
                return
            if known is not None:
                self._forget(job_id)
            self.started += 1
            self._make_room()
            label = self._free_label(name[:NAME_LENGTH] or "unnamed")
            self._jobs[job_id] = Job(job_id, label, self._clock())

    def granted(self, job_id: str) -> None:
        """A job got a token; its launch has been noticed before, or it stays without a name."""
        self.launched(job_id, "")

    def ended(self, job_id: str, result: str | None) -> None:
        """A job has ended; the first result counts."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return
            if job.ended is None:
                job.ended = self._clock()
            if result is not None and job_id not in self._results:
                self._results.add(job_id)
                self.finished[result] += 1

    def admits(self, job_id: str) -> bool:
        """Whether a job may push: it runs, or has only just ended."""
        with self._lock:
            job = self._jobs.get(job_id)
            return job is not None and (job.ended is None or self._clock() - job.ended <= LAST_WORDS_SECONDS)

    def sweep(self) -> None:
        """Notice jobs that ended without a word, and forget those whose time is over."""
        listed = set(self.running())
        now = self._clock()
        with self._lock:
            for job in list(self._jobs.values()):
                job.listed |= job.id in listed
                is_late = job.listed or now - job.launched > LAUNCH_SECONDS
                if job.ended is None and job.id not in listed and is_late:
                    job.ended = now
                if job.ended is not None and now - job.ended > self.kept:
                    self._forget(job.id)

    def label(self, job_id: str) -> str | None:
        """Under which name a job is shown; None if it is not, or no longer."""
        with self._lock:
            job = self._jobs.get(job_id)
            return job.label if job is not None else None

    def active(self) -> Iterator[Job]:
        """Jobs that have not ended."""
        with self._lock:
            yield from [job for job in self._jobs.values() if job.ended is None]

    def known(self) -> set[str]:
        """The ids of all jobs that are shown."""
        with self._lock:
            return set(self._jobs)

    def _make_room(self) -> None:
        while len(self._jobs) >= JOBS:
            ended = [job for job in self._jobs.values() if job.ended is not None]
            oldest = min(ended or self._jobs.values(), key=lambda job: (job.ended or 0.0, job.launched))
            self._forget(oldest.id)

    def _free_label(self, name: str) -> str:
        """The name, as nobody active has it; who has ended gives it up."""
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
        self._results.discard(job_id)
