"""The job `flower-digits`: `fedadagrad` as a Flower app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fl_app.jobs.fedadagrad.job import DigitParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = (
    "The digits of fedadagrad as a Flower app: ServerApp and ClientApp (PyTorch, needs Flower at the sites)"
)
NEEDS = {"sklearn": "flarefleet[jobs]"}
EXTRAS = ("flower",)
WARM_UP = ("fl_app.jobs.flower_recipe",)
APP = "fl_app.jobs.flower_digits.app"


class FlowerDigitsParameters(DigitParameters):
    """The parameters of fedadagrad, with fewer rounds: Flower starts a process for each message."""

    rounds: int = Field(6, ge=1, le=1000)
    """Number of rounds"""


PARAMETERS = FlowerDigitsParameters


def recipe(parameters: FlowerDigitsParameters, sites: Sequence[str]) -> Recipe:
    """Make the recipe for these sites; their alphabetical order decides which site has which images.

    Raises:
        ValueError: the number of sites is invalid, or an unsupported Flower is installed.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.fedadagrad.digits import divide
    from fl_app.jobs.flower_recipe import FlowerAppRecipe

    divide(len(sites), parameters.seed)
    named = {name.replace("_", "-"): value for name, value in parameters.model_dump().items()}
    job = FlowerAppRecipe(
        name="flower-digits", app=APP, run_config={"num-sites": len(sites), **named}, sites=sites
    )
    add_experiment_tracking(job, "tensorboard")
    return job
