"""The examples as a job for `flarefleet submit tests/examples --set example=NAME`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "An example of NVFlare."


class Parameters(JobParameters):
    """Which example, and where its server finds files that exist before the job."""

    example: str = "hello-numpy"
    folder: str = ""


PARAMETERS = Parameters


def recipe(parameters: Parameters, sites: Sequence[str]) -> Recipe:
    """Return the recipe of the example."""
    from example_jobs.recipes import EXAMPLES

    if parameters.example not in EXAMPLES:
        from example_jobs.recipes_with_packages import EXAMPLES

    folder = Path(parameters.folder or mkdtemp())
    made = EXAMPLES[parameters.example](parameters.example, sites, folder)
    # Only the polling is faster than NVFlare's default; this changes no result.
    made.add_server_config(
        {"server": {"task_request_interval": 0.1}, "end_run_readiness_check_interval": 0.1}
    )
    made.add_client_config({"default_task_fetch_interval": 0.1, "runner_sync_timeout": 1.0})
    return made
