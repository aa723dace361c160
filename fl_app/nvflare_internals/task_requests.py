"""How often the sites of a job ask the server's job process for a task."""

from __future__ import annotations

from typing import Any

USES = {
    "nvflare.private.fed.server.server_runner:ServerRunnerConfig.task_request_interval": (
        "let the interval follow the number of sites"
    ),
    "log:nvflare.private.fed.server.server_json_config:self.task_request_interval = 2": (
        "recognize the interval of a job that sets none"
    ),
}

NVFLARE_DEFAULT = 2
"""Seconds, if the configuration of the job names no interval."""
FASTEST_INTERVAL = 0.1
"""Seconds."""
REQUESTS_PER_SECOND = 200
"""Task requests that one server job handles without delay."""


def task_request_interval(sites: int) -> float:
    """Return the seconds between two task requests of one site, for this number of sites."""
    return max(FASTEST_INTERVAL, sites / REQUESTS_PER_SECOND)


def adapt_task_requests(runner: Any, sites: int) -> None:
    """Let the interval of a starting job follow the number of its sites.

    It replaces NVFlare's default. An interval that the job sets stays, unless it is too short for this number
    of sites.

    Args:
        runner: NVFlare's runner of the job at the server; None in its simulator.
        sites: the number of participating sites.
    """
    if runner is None:
        return
    config = runner.config
    if config.task_request_interval == NVFLARE_DEFAULT:
        config.task_request_interval = task_request_interval(sites)
    else:
        config.task_request_interval = max(config.task_request_interval, sites / REQUESTS_PER_SECOND)
