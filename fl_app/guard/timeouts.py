"""Timeouts of the guard, and the environment variables that set them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from fl_app.contract import (
    ENV_SITE_PATIENCE,
    ENV_TASK_TIMEOUT,
    SITE_PATIENCE_SECONDS,
    TASK_TIMEOUT_SECONDS,
)

HEARTBEAT_TIMEOUT = 300.0
"""Seconds without a heartbeat after which a site is lost; most network failures are shorter."""


@dataclass(frozen=True)
class Timeouts:
    """Limits for a site that blocks the job, in seconds."""

    heartbeat: float
    """Time without a heartbeat."""
    task: float
    """Time with a task and without a result or a metric; 0 for no limit."""


def site_patience() -> float:
    """Return for how many seconds a job waits for sites that are not registered."""
    return _seconds(ENV_SITE_PATIENCE, SITE_PATIENCE_SECONDS)


def task_timeout() -> float:
    """Return within how many seconds a site must return a result or log a metric; 0 for no limit."""
    return _seconds(ENV_TASK_TIMEOUT, TASK_TIMEOUT_SECONDS)


def _seconds(variable: str, default: float) -> float:
    """Return the default for an invalid value: a parent rejects it when it starts."""
    try:
        seconds = float(os.environ.get(variable) or default)
    except ValueError:
        return default
    return seconds if 0 <= seconds < math.inf else default
