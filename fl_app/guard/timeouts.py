"""Timeouts of the guard, and the environment variables that set them."""

from __future__ import annotations

from dataclasses import dataclass

from fl_app.contract import (
    ENV_SITE_PATIENCE,
    ENV_TASK_TIMEOUT,
    SITE_PATIENCE_SECONDS,
    TASK_TIMEOUT_SECONDS,
)
from fl_app.survival.limits import seconds_of_environment


@dataclass(frozen=True)
class Timeouts:
    """Limits for a site that blocks the job, in seconds."""

    heartbeat: float
    """Time without a sign of life."""
    task: float
    """Time with a task and without a result or a metric; 0 for no limit."""


def site_patience() -> float:
    """Return for how many seconds a job waits for sites that are not registered."""
    return seconds_of_environment(ENV_SITE_PATIENCE, SITE_PATIENCE_SECONDS)


def task_timeout() -> float:
    """Return within how many seconds a site must return a result or log a metric; 0 for no limit."""
    return seconds_of_environment(ENV_TASK_TIMEOUT, TASK_TIMEOUT_SECONDS)
