"""The job `fibonacci`: the smoke test of a new federation, without a model, data or torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fl_app.jobs.fibonacci.numbers import MAX_LEVEL
from fl_app.jobs.parameters import JobParameters, require_sites

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Smoke test: each site gets a number and returns a sum (no model, no data, no torch)"
WARM_UP = ("fl_app.jobs.fibonacci.controller", "nvflare.recipe.spec")

Level = Annotated[int, Field(ge=1, le=MAX_LEVEL)]


class FibonacciParameters(JobParameters):
    """Parameters of the job `fibonacci`."""

    level: Level = 10
    """Number of Fibonacci numbers, from 0, that a site adds up"""
    levels: dict[str, Level] = Field({}, description='Levels of individual sites, by name: {"site-1": 20}')
    rounds: int = Field(5, ge=1, le=1000)
    """Number of rounds"""
    timeout: int = Field(60, ge=1, le=3600)
    """Seconds within which every site must answer in a round"""


PARAMETERS = FibonacciParameters


def recipe(parameters: FibonacciParameters, sites: Sequence[str]) -> Recipe:
    """Make the recipe for these sites.

    Raises:
        ValueError: `levels` names a site that does not take part.
    """
    from nvflare.job_config.api import FedJob
    from nvflare.recipe.spec import Recipe

    from fl_app.jobs.fibonacci.controller import FibonacciController
    from fl_app.jobs.fibonacci.site import TASK, FibonacciSite
    from fl_app.jobs.recipe_defaults import apply_defaults

    require_sites("levels", parameters.levels, sites)
    levels = {site: parameters.levels.get(site, parameters.level) for site in sites}
    job = FedJob(name="fibonacci", min_clients=len(sites))
    job.to_server(FibonacciController(levels, parameters.rounds, parameters.timeout))
    job.to_clients(FibonacciSite(), tasks=[TASK])
    made = Recipe(job)
    apply_defaults(made, len(sites))
    return made
