"""Detect stalled sites: they send heartbeats, but no result, and NVFlare's tasks have no timeout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fl_app.guard.finding import Finding
from fl_app.guard.heartbeat import blocking_sites
from fl_app.guard.task import round_of
from fl_app.nvflare_internals.guard import open_tasks_without_timeout


def find_stalled_site(
    controller: Any, last_metric: Mapping[str, float], timeout: float, now: float
) -> Finding | None:
    """Return a finding if a site blocks the job and neither returns a result nor logs a metric.

    Args:
        controller: NVFlare's controller of the running workflow, or None.
        last_metric: time of the last metric of each site, in seconds since 1970.
        timeout: seconds since the site received its task or logged a metric; 0 for no limit.
        now: current time, in seconds since 1970.
    """
    for task in open_tasks_without_timeout(controller) if timeout else ():
        idle = {
            one.client.name: now - max(one.task_sent_time, last_metric.get(one.client.name, 0.0))
            for one in list(task.client_tasks)
            if one.result_received_time is None and one.task_sent_time is not None
        }
        if stalled := blocking_sites(task, [site for site, seconds in idle.items() if seconds > timeout]):
            longest = _duration(max(idle[site] for site in stalled))
            return Finding(
                f"the task '{task.name}' has run for {longest} without a result or a metric: training hangs",
                "Check its log (flarefleet logs), then submit the job again. If rounds take longer, increase "
                "the job's JobGuard.task_timeout, or deployment.guard.task_timeout_seconds in project.yml.",
                site=", ".join(stalled),
                round=round_of(task.data),
                rule="stalled_site",
            )
    return None


def _duration(seconds: float) -> str:
    """Return 3700 as `1 h 1 min`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
