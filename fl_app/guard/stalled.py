"""Sites that live and get nowhere: a training script that hangs gives signs of life for ever, and NVFlare's
tasks have no timeout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fl_app.contract import ENV_TASK_TIMEOUT, TASK_TIMEOUT_SECONDS
from fl_app.guard.finding import Finding
from fl_app.guard.heartbeat import held_up_by, standing_tasks
from fl_app.guard.task import round_of
from fl_app.startup.exit_codes import StartupError
from fl_app.startup.settings import Settings


def task_timeout() -> float:
    """Seconds in which a site must get on, as this federation has it."""
    try:
        return Settings.read(os.environ).task_timeout
    except StartupError:  # of a job process that was not started by the kit
        return TASK_TIMEOUT_SECONDS


def stuck(controller: Any, logged: Mapping[str, float], limit: float, now: float) -> Finding | None:
    """A site that has had a task for longer than `limit`, has logged nothing meanwhile, and holds the job up.

    Args:
        controller: NVFlare's, of the workflow that runs.
        logged: when each site logged something last, as `time.time` counts.
        limit: seconds; 0 for ever.
        now: as `time.time` counts.
    """
    for task in standing_tasks(controller) if limit else ():
        idle = {
            one.client.name: now - max(one.task_sent_time, logged.get(one.client.name, 0.0))
            for one in list(task.client_tasks)
            if one.result_received_time is None and one.task_sent_time is not None
        }
        late = {site: seconds for site, seconds in idle.items() if seconds > limit}
        if missing := held_up_by(task, late.keys()):
            longest = _words(max(late[site] for site in missing))
            return Finding(
                f"at work on the task '{task.name}' for {longest}, and neither returned nor logged anything: "
                "its training hangs",
                "See its log (flarefleet logs), and submit the job again; for rounds that take longer give "
                f"its JobGuard a longer task_timeout, or the server {ENV_TASK_TIMEOUT}.",
                site=", ".join(missing),
                round=round_of(task.data),
            )
    return None


def _words(seconds: float) -> str:
    """3700 as `1 h 1 min`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
