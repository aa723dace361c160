"""What every recipe of the kit gets: polling intervals that fit the number of sites, and code from the image,
not the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fl_app.guard.component import JobGuard

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

TASK_CHECK_PERIOD = 0.05
"""Seconds between two looks of the server's controller whether all sites have answered; costs nothing but a
list length."""

END_CHECK_PERIOD = 0.1
"""Seconds between two looks whether all metrics of the sites have been taken in, when a job ends."""

RUNNER_SYNC_TIMEOUT = 1.0
"""Seconds (2 in NVFlare) that a site waits for an answer before it asks anew whether the server's part has
begun."""

LONGEST_RUNNER_SYNC = 600.0
"""Seconds (60 in NVFlare) in which the server's part must have begun: it may load and evaluate a large
model, on a busy machine."""

_FASTEST_POLL = 0.1
_POLLS_PER_SECOND = 200
"""What one server job answers without notice: waiting sites ask for work sites/interval times a second."""

GUARD_ID = "job_guard"

APP_PACKAGES = ["fl_app"]
"""Code that every image has: jobs name it, and do not carry a copy that would need the right to bring one's
own code."""


def task_request_interval(sites: int) -> float:
    """Seconds that a site waits before it asks the server for work again.

    Args:
        sites: how many sites ask.
    """
    return max(_FASTEST_POLL, sites / _POLLS_PER_SECOND)


def tune(recipe: Recipe, sites: int) -> None:
    """Give a recipe what every job of the kit has: these settings, and the guard, which a federation of the
    kit brings to every job but NVFlare's simulator does not.

    Args:
        recipe: any recipe of NVFlare, before its export.
        sites: how many sites take part.
    """
    recipe.add_server_config(
        {
            "server": {"task_request_interval": task_request_interval(sites)},
            "end_run_readiness_check_interval": END_CHECK_PERIOD,
        }
    )
    recipe.add_client_config(
        {
            "default_task_fetch_interval": task_request_interval(sites),
            "runner_sync_timeout": RUNNER_SYNC_TIMEOUT,
            "max_runner_sync_timeout": LONGEST_RUNNER_SYNC,
        }
    )
    recipe._job.to_server(JobGuard(), id=GUARD_ID)
    recipe._add_to_client_apps(JobGuard(), id=GUARD_ID)
    recipe._job.set_app_packages(APP_PACKAGES)
