"""The job `fibonacci`: parameters go out, exact integers come back; the smoke test of a new federation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fl_app.jobs.fibonacci.numbers import HIGHEST_LEVEL
from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Smoke test: each site gets a number and returns a sum (no model, no data, no torch)"
WARM_UP = ("fl_app.jobs.fibonacci.recipe",)

Level = Annotated[int, Field(ge=1, le=HIGHEST_LEVEL)]


class FibonacciParameters(JobParameters):
    """What each site computes."""

    level: Level = 10
    """How many Fibonacci numbers a site adds up, from 0."""
    levels: dict[str, Level] = Field({}, description='Other levels for some sites, by name: {"site-1": 20}.')
    rounds: int = Field(5, ge=1, le=1000)
    """How often the sites are asked."""
    timeout: int = Field(60, ge=1, le=3600)
    """Seconds in which every site must have answered, in each round."""


PARAMETERS = FibonacciParameters


def recipe(parameters: FibonacciParameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites.

    Raises:
        ValueError: a level for a site that is none of them.
    """
    from fl_app.jobs.fibonacci.recipe import FibonacciRecipe

    strangers = [site for site in parameters.levels if site not in sites]
    if strangers:
        raise ValueError(f"levels: {', '.join(strangers)}: none of the sites: {', '.join(sites)}")
    levels = {site: parameters.levels.get(site, parameters.level) for site in sites}
    return FibonacciRecipe(levels=levels, rounds=parameters.rounds, timeout=parameters.timeout)
