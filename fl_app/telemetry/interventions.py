"""Number of interventions of survival in each job, by site and kind."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import Metric

from fl_app.survival.interventions import Intervention, Kind
from fl_app.telemetry.metrics import ParentIdentity, family_of
from fl_app.telemetry.parent_jobs import MAX_JOBS, ParentJobs

_SERVER = ""


class InterventionCounts:
    """Count interventions, in the server's parent.

    Args:
        jobs: jobs of the parent; they determine which jobs are shown, and their `job` label.
    """

    def __init__(self, jobs: ParentJobs) -> None:
        self._known_jobs = jobs
        self._jobs: dict[str, Counter[tuple[str, str]]] = {}
        self._lock = threading.Lock()

    def add(self, job_id: str, intervention: Intervention) -> None:
        """Count an intervention."""
        with self._lock:
            if job_id not in self._jobs and len(self._jobs) >= 2 * MAX_JOBS:
                del self._jobs[next(iter(self._jobs))]
            counts = self._jobs.setdefault(job_id, Counter())
            counts[intervention.site, intervention.kind.value] += 1

    def metrics(self, identity: ParentIdentity) -> Iterable[Metric]:
        """Yield the counters of the jobs that the parent knows.

        Those of the server, and of a site that had one, start at zero, so that `rate()` sees an increase.
        """
        values: dict[tuple[str, ...], float] = {}
        with self._lock:
            for job_id in self._known_jobs.known():
                counts = self._jobs.get(job_id, Counter())
                for site in {_SERVER, *(site for site, _ in counts)}:
                    labels = identity.labels_of(site) if site else identity.labels
                    for kind in Kind:
                        labels_of_kind = (*labels, self._known_jobs.label(job_id) or "", kind.value)
                        values[labels_of_kind] = counts[site, kind.value]
        yield family_of("job_interventions_total", values)
