"""The job `chaos`: its result shows each round that was lost, repeated or exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Deterministic rounds, to compare a disturbed run with an undisturbed one"
WARM_UP = ("fl_app.jobs.array_recipe",)


class Parameters(JobParameters):
    """Parameters of the job `chaos`."""

    rounds: int = Field(8, ge=1, le=10_000)
    """Number of rounds"""
    seconds: float = Field(1.0, ge=0, le=3600, allow_inf_nan=False)
    """Duration of a round at each site, in seconds"""
    numbers: int = Field(1000, ge=1, le=100_000_000)
    """Size of the model: numbers of 4 bytes each"""
    client: Literal["numpy", "torch", "process"] = "numpy"
    """A NumPy array or a PyTorch model in the job process, or a NumPy array in an external process"""


PARAMETERS = Parameters


def recipe(parameters: Parameters, sites: Sequence[str]) -> Recipe:
    """Return the recipe for these sites."""
    if parameters.client == "process":
        return _in_a_process(parameters, sites)
    common = {"name": "chaos", "num_rounds": parameters.rounds, "sites": sites, "key_metric": "round"}
    if parameters.client == "torch":
        from chaos_job.client import TorchChaos

        from fl_app.jobs.recipe import TrainingRecipe

        return TrainingRecipe(
            model={"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": parameters.numbers}},
            training=TorchChaos(list(sites), parameters.seconds),
            **common,
        )
    from chaos_job.client import ArrayChaos

    from fl_app.jobs.array_recipe import ArrayTrainingRecipe

    return ArrayTrainingRecipe(
        model=[0.0] * parameters.numbers, training=ArrayChaos(list(sites), parameters.seconds), **common
    )


def _in_a_process(parameters: Parameters, sites: Sequence[str]) -> Recipe:
    from fl_app.jobs.numpy_fedavg.parameters import NumpyFedAvgParameters
    from fl_app.jobs.numpy_fedavg.recipe import NumpyRecipe

    return NumpyRecipe(
        NumpyFedAvgParameters(
            rounds=parameters.rounds,
            model=[0.0] * parameters.numbers,
            train_script=str(Path(__file__).with_name("script.py")),
            train_args=f"--seconds {parameters.seconds} --sites {' '.join(sites)}",
            external_process=True,
            key_metric="round",
        ),
        sites,
    )
