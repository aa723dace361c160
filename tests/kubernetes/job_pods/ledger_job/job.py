"""A job of a user's own that completes only where /data/ledger holds numbers and is for reading alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Checks the numbers of a site's data"


class Parameters(JobParameters):
    """Where the data is."""

    folder: str = "/data/ledger"
    """A dataset of the site, with a file of numbers."""
    total: float = 42
    """What they come to."""


PARAMETERS = Parameters


def recipe(parameters: Parameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites."""
    from ledger.client import Reading

    from fl_app.jobs.recipe import TrainingRecipe

    return TrainingRecipe(
        name="ledger",
        model={"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 1}},
        num_rounds=1,
        sites=sites,
        training=Reading(folder=parameters.folder, total=parameters.total),
        key_metric="round",
    )
