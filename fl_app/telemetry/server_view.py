"""State of the server's parent: it is ready if it accepts jobs; contact with each site."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from nvflare.apis.job_def import RunStatus
from prometheus_client.core import Metric

from fl_app.nvflare_internals.parents import ServerParent
from fl_app.survival.liveness import liveness_of
from fl_app.telemetry.metrics import ParentIdentity, View, family_of

JOB_COUNT_SECONDS = 5.0
"""Lifetime of the count of jobs: NVFlare reads the whole job store for each count."""

_RESULTS = {
    RunStatus.SUBMITTED.value: "",
    RunStatus.FINISHED_COMPLETED.value: "completed",
    RunStatus.FINISHED_ABORTED.value: "aborted",
}


class ServerView(View):
    """Read the state of NVFlare's server on request."""

    def __init__(self, identity: ParentIdentity, server: ServerParent) -> None:
        self._identity = identity
        self._server = server
        self._jobs: Mapping[str, int] = {}
        self._jobs_counted = 0.0
        self._lock = threading.Lock()

    def notice(self, event: str) -> None:
        """Ignore NVFlare's events: all state is read on request."""

    def not_ready(self) -> str | None:
        """Return why the server is not ready; None if it is."""
        if self._server.is_shutting_down():
            return "shutting down"
        if not self._server.is_started():
            return "starting"
        return None

    def unhealthy(self) -> str | None:
        """Return an error if NVFlare's main thread has ended: other threads keep the process alive."""
        if not threading.main_thread().is_alive():
            return "NVFlare's main thread has ended"
        return None

    def away(self) -> Mapping[str, float]:
        """Return the sites whose heartbeats are late, each with the seconds since the last."""
        late = liveness_of(self._server.engine).late()
        return {site: round(time.time() - last, 1) for site, last in late.items()}

    def metrics(self) -> Iterable[Metric]:
        """Return contact with every site since the start, and the number of jobs by status."""
        labels_of, liveness = self._identity.labels_of, liveness_of(self._server.engine)
        last_signs, present = liveness.last_signs(), liveness.present()
        yield family_of("registered", {labels_of(site): site in present for site in sorted(last_signs)})
        yield family_of(
            "last_contact_timestamp_seconds",
            {labels_of(site): last for site, last in sorted(last_signs.items())},
        )
        jobs, labels = self._count_jobs(), self._identity.labels
        yield family_of("jobs", {(*labels, status): number for status, number in jobs.items()})

    def running(self) -> Collection[str]:
        """Return the ids of the jobs whose process or pod is running."""
        return self._server.running_jobs()

    def result(self, job_id: str) -> str:
        """Return how a job ended, by its status in NVFlare's store: completed, failed or aborted.

        It is empty for a job that was killed and runs again.
        """
        return _RESULTS.get(self._server.job_status(job_id) or "", "failed")

    def _count_jobs(self) -> Mapping[str, int]:
        with self._lock:
            if time.monotonic() - self._jobs_counted > JOB_COUNT_SECONDS or not self._jobs:
                jobs = Counter({status.value: 0 for status in RunStatus})
                jobs.update(self._server.job_statuses())
                self._jobs, self._jobs_counted = jobs, time.monotonic()
            return self._jobs
