"""Detect sites that send heartbeats but no result: NVFlare's tasks have no timeout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fl_app.guard.finding import Finding
from fl_app.guard.heartbeat import blocking_sites
from fl_app.guard.task import round_of
from fl_app.nvflare_internals.guard import open_tasks_without_timeout
from fl_app.survival.limits import duration

MAX_SENDS = 5
"""How often NVFlare sends a task to a site that does not answer; see `find_unanswered_task`."""


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
            longest = duration(max(idle[site] for site in stalled))
            return Finding(
                f"the task '{task.name}' has run for {longest} without a result or a metric: training hangs",
                "Check its log (flarefleet logs SITE), then submit the job again. If rounds take longer, "
                "increase the job's JobGuard.task_timeout, or deployment.guard.task_timeout_seconds in "
                "project.yml.",
                site=", ".join(stalled),
                round=round_of(task.data),
                rule="stalled_site",
            )
    return None


def find_unanswered_task(controller: Any) -> Finding | None:
    """Return a finding if a site asks for the next task again and again without answering the last.

    NVFlare then sends the same task again. That is legal: the reply may have been lost, or the site's job
    process was started again (see `forget_sends`). A site waits for seconds between two requests, and for
    minutes if a reply is lost, so a bad network does not lose MAX_SENDS replies in a row and deliver every
    request. A site that cannot read the task (a class of the message is missing there) asks every few seconds
    for ever.

    Args:
        controller: NVFlare's controller of the running workflow, or None.
    """
    for task in open_tasks_without_timeout(controller):
        sent = {
            one.client.name: one.task_send_count
            for one in list(task.client_tasks)
            if one.result_received_time is None and one.task_send_count >= MAX_SENDS
        }
        for site in blocking_sites(task, sent.keys())[:1]:
            return Finding(
                f"has received the task '{task.name}' {sent[site]} times and never answered it",
                "Check its log (flarefleet logs SITE): it may lack a package that the message needs.",
                site=site,
                round=round_of(task.data),
                rule="unanswered",
            )
    return None


def forget_sends(controller: Any, site: str) -> None:
    """Count from zero how often a site receives its task: its job process was started again."""
    for task in open_tasks_without_timeout(controller):
        for one in list(task.client_tasks):
            if one.client.name == site and one.result_received_time is None:
                one.task_send_count = 0
