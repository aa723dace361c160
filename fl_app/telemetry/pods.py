"""Metrics of job pods; none if jobs run as processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import ParentIdentity, gauge_of

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


@dataclass(frozen=True)
class JobPodStatus:
    """Status of the pod of one job."""

    job: str
    """Name of the job."""
    phase: str
    """One of PHASES."""
    pending_since: float | None = None
    """Seconds since 1970; None unless the pod is pending."""


_list_pods: Callable[[], Sequence[JobPodStatus]] | None = None


def show_job_pods(pods: Callable[[], Sequence[JobPodStatus]]) -> None:
    """Call `pods` at each scrape from now on. It must return immediately, from any thread."""
    global _list_pods  # noqa: PLW0603 - a parent has one launcher
    _list_pods = pods


class JobPodMetrics:
    """Number of job pods by phase, and the time since which pods have been pending."""

    def __init__(self, identity: ParentIdentity) -> None:
        self._identity = identity

    def __call__(self) -> Iterable[Metric]:
        """Return the current values."""
        if _list_pods is None:
            return ()
        pods = _list_pods()
        phases = Counter(dict.fromkeys(PHASES, 0))
        phases.update(pod.phase if pod.phase in PHASES else "Unknown" for pod in pods)
        by_phase, pending = gauge_of("job_pods"), gauge_of("job_pod_pending_timestamp_seconds")
        for phase, count in phases.items():
            by_phase.add_metric((*self._identity.labels, phase), count)
        oldest: dict[str, float] = {}
        for pod in pods:
            if pod.pending_since is not None:
                oldest[pod.job] = min(pod.pending_since, oldest.get(pod.job, pod.pending_since))
        for job, since in oldest.items():
            pending.add_metric((*self._identity.labels, job), since)
        return by_phase, pending
