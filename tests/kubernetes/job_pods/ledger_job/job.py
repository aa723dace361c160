"""A user's job that succeeds only if /data/ledger has the expected numbers and is read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Checks the numbers of a site's data"


class Parameters(JobParameters):
    """Location and content of the data."""

    folder: str = "/data/ledger"
    """Folder of a dataset with a file of numbers."""
    total: float = 42
    """Sum of the numbers."""


PARAMETERS = Parameters


def recipe(parameters: Parameters, sites: Sequence[str]) -> Recipe:
    """Return the recipe of the job for these sites."""
    from ledger.client import Reading

    from fl_app.jobs.recipe import TrainingRecipe

    return TrainingRecipe(
        name="ledger",
        model={"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 1}},
        num_rounds=1,
        sites=sites,
        training=Reading(folder=parameters.folder, total=parameters.total),
        key_metric="",
    )
