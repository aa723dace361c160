"""What a launcher of job pods tells of them; nothing where jobs run as processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import Identity, gauge_of

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


@dataclass(frozen=True)
class JobPod:
    """A pod that runs a job."""

    job: str
    """The job's name."""
    phase: str
    """Of PHASES."""
    pending_since: float | None = None
    """Seconds since 1970; None unless it is pending."""


_pods: Callable[[], Sequence[JobPod]] | None = None


def show_job_pods(pods: Callable[[], Sequence[JobPod]]) -> None:
    """Ask `pods` at each scrape from now on, from any thread; it answers at once, from what it knows."""
    global _pods  # noqa: PLW0603 - a parent has one launcher
    _pods = pods


class Pods:
    """The pods of this parent's jobs.

    Args:
        identity: whose they are.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def __call__(self) -> Iterable[Metric]:
        """How many are in which phase, and since when those wait that do not run yet."""
        if _pods is None:
            return ()
        pods = _pods()
        phases = Counter(dict.fromkeys(PHASES, 0))
        phases.update(pod.phase if pod.phase in PHASES else "Unknown" for pod in pods)
        number, pending = gauge_of("job_pods"), gauge_of("job_pod_pending_timestamp_seconds")
        for phase, count in phases.items():
            number.add_metric((*self._identity.labels, phase), count)
        waiting: dict[str, float] = {}
        for pod in pods:
            if pod.pending_since is not None:
                waiting[pod.job] = min(pod.pending_since, waiting.get(pod.job, pod.pending_since))
        for job, since in waiting.items():
            pending.add_metric((*self._identity.labels, job), since)
        return number, pending
