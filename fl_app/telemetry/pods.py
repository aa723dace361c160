"""Metrics of job pods; none if jobs run as processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import ParentIdentity, family_of

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


def job_pod_metrics(identity: ParentIdentity) -> Iterable[Metric]:
    """Return the number of job pods by phase, and the time since which pods of each job have been pending."""
    if _list_pods is None:
        return ()
    labels, pods = identity.labels, _list_pods()
    phases = Counter(dict.fromkeys(PHASES, 0))
    phases.update(pod.phase if pod.phase in PHASES else "Unknown" for pod in pods)
    oldest: dict[tuple[str, ...], float] = {}
    for pod in pods:
        if pod.pending_since is not None:
            key = (*labels, pod.job)
            oldest[key] = min(pod.pending_since, oldest.get(key, pod.pending_since))
    return (
        family_of("job_pods", {(*labels, phase): count for phase, count in phases.items()}),
        family_of("job_pod_pending_timestamp_seconds", oldest),
    )
