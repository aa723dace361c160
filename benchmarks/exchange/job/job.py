"""The job `probe` with a model of any size, type and format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Rounds without training, to measure the exchange of a large model"
WARM_UP = ("fl_app.jobs.recipe",)


class Parameters(JobParameters):
    """Parameters of the job."""

    rounds: int = Field(3, ge=1, le=10_000)
    """Number of rounds"""
    numbers: int = Field(1000, ge=1, le=2_000_000_000)
    """Size of the model"""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type of each number"""
    format: Literal["numpy", "pytorch"] = "pytorch"
    """Whether the model crosses the network as arrays of NumPy or as tensors of PyTorch"""


PARAMETERS = Parameters


def recipe(parameters: Parameters, sites: Sequence[str]) -> Recipe:
    """Return the recipe for these sites."""
    from fl_app.jobs.probe.client import Probe
    from fl_app.jobs.recipe import TrainingRecipe

    count = {"count": parameters.numbers, "dtype": parameters.dtype}
    return TrainingRecipe(
        name="exchange",
        model={"class_path": "fl_app.jobs.probe.model.Numbers", "args": count},
        num_rounds=parameters.rounds,
        sites=sites,
        training=Probe(),
        key_metric="",
        server_expected_format=parameters.format,
    )
