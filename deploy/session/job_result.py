"""The result of a job in a few words, for a table of jobs."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.session.job import COMPLETED, Job
from fl_app.metric_direction import direction_of
from fl_app.telemetry.job_progress import JobProgress

MAX_CHARACTERS = 80
_SHOWN_METRICS = 2


def rounds_text(job: Job) -> str:
    """Return the rounds of a job, from 1: `3 of 10` while it runs or if it ended early, `10` at the end."""
    progress = job.progress
    if progress is None or progress.round is None:
        return ""
    if progress.rounds in (None, progress.round):
        return str(progress.round)
    return f"{progress.round} of {progress.rounds}"


def result_text(job: Job) -> str:
    """Return the best model's metric, or the last metrics; of a job that did not complete, the reason."""
    progress = job.progress or JobProgress()
    if job.is_finished and job.status != COMPLETED:
        return _reason(job, progress)
    if progress.best is not None:
        best = progress.best
        return f"{best.metric} {best.value:.4g} (best model, after round {best.round})"
    metrics = progress.metrics or mean_metrics(progress)
    return ", ".join(f"{tag} {metrics[tag]:.4g}" for tag in _important(metrics))[:MAX_CHARACTERS]


def mean_metrics(progress: JobProgress) -> dict[str, float]:
    """Return the mean of each metric over the sites that logged it, each with its last value."""
    values: dict[str, list[float]] = {}
    for site in progress.sites.values():
        for tag, value in site.metrics.items():
            values.setdefault(tag, []).append(value)
    return {tag: sum(found) / len(found) for tag, found in sorted(values.items())}


def _important(metrics: Mapping[str, float]) -> list[str]:
    """Return the tags to show: those of which a direction is known, such as a loss, come first."""
    return sorted(metrics, key=lambda tag: (direction_of(tag) is None, tag))[:_SHOWN_METRICS]


def _reason(job: Job, progress: JobProgress) -> str:
    errors = [f"{name}: {site.error}" for name, site in sorted(progress.sites.items()) if site.error]
    errors += [f"{name}: {reason}" for name, reason in job.deploy_errors.items()]
    aborted = f"aborted by {job.aborted_by}" if job.aborted_by else ""
    reason = aborted or next(iter(errors), "") or progress.fatal or job.waits_for
    line = (reason.splitlines() or [""])[0]
    return line if len(line) <= MAX_CHARACTERS else f"{line[: MAX_CHARACTERS - 3]}..."
