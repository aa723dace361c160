"""Detect lost sites: a round of NVFlare has no timeout and would wait for them forever."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nvflare.apis.controller_spec import Task

from fl_app.guard.finding import Finding
from fl_app.nvflare_internals.guard import open_tasks_without_timeout, results_needed
from fl_app.survival.job_liveness import silence_text

HEARTBEAT_TOPIC = "flarefleet.guard.alive"
HEARTBEAT_LIFE = "life"
"""Key of a heartbeat: name of the site's job process. One that is started again has another name."""
CHECK_INTERVAL = 5.0
"""Seconds between two checks by the server."""


def find_lost_site(controller: Any, silent: Mapping[str, float]) -> Finding | None:
    """Return a finding if a task without a timeout cannot complete because sites are lost.

    Args:
        controller: NVFlare's controller of the running workflow, or None.
        silent: seconds without a sign of life, by site, for the sites that are given up.
    """
    for task in open_tasks_without_timeout(controller) if silent else ():
        if lost := blocking_sites(task, silent.keys()):
            return Finding(
                f"{silence_text(max(silent[site] for site in lost))}, and the task '{task.name}' "
                "waits for it without a timeout",
                "Check the site (flarefleet status, flarefleet logs SITE), then submit the job again.",
                site=", ".join(lost),
                rule="lost_site",
            )
    return None


def awaited_sites(controller: Any, silent: Collection[str]) -> set[str]:
    """Return those of the silent sites without whose results an open task cannot complete."""
    tasks = open_tasks_without_timeout(controller) if silent else ()
    return {site for task in tasks for site in blocking_sites(task, silent)}


def blocking_sites(task: Task, sites: Collection[str]) -> list[str]:
    """Return those of `sites` without whose results the task cannot complete."""
    needed = results_needed(task)
    if needed is None:
        working = {one.client.name for one in task.client_tasks if one.result_received_time is None}
        return sorted(working & set(sites))
    targets = set(task.targets or ())
    returned = {one.client.name for one in task.client_tasks if one.result_received_time is not None}
    missing = sorted((targets - returned) & set(sites))
    return missing if len(targets) - len(missing) < needed else []
