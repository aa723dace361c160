"""The job `fedadagrad`: handwritten digits, a sample of the sites in each round, Adagrad at the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Handwritten digits with server-side Adagrad, sampled sites and server evaluation (PyTorch)"
NEEDS = dict.fromkeys(("torch", "safetensors", "sklearn", "tensorboard"), "flarefleet[jobs]")
WARM_UP = ("fl_app.jobs.fedadagrad.recipe",)


class DigitParameters(JobParameters):
    """How the sites train, and how the server takes up what they learnt."""

    rounds: int = Field(20, ge=1, le=1000)
    """How often the sites' models are averaged."""
    fraction_train: float = Field(0.5, gt=0, le=1, allow_inf_nan=False)
    """Share of the sites that trains in a round; rounded up to whole sites."""
    local_epochs: int = Field(5, ge=1, le=100)
    """Passes of each chosen site over its own images in a round."""
    learning_rate: float = Field(0.01, gt=0, le=1, allow_inf_nan=False)
    """Of the sites, in the first rounds."""
    halve_every: int = Field(5, ge=1, le=1000)
    """After so many rounds the sites' learning rate halves, again and again."""
    server_learning_rate: float = Field(0.05, gt=0, le=10, allow_inf_nan=False)
    """Of Adagrad at the server."""
    tau: float = Field(1e-3, gt=0, le=1, allow_inf_nan=False)
    """Of Adagrad: how much the size of an update counts beside that of earlier ones."""
    evaluate_every: int = Field(1, ge=1, le=1000)
    """The server measures the model every so many rounds, and after the last."""
    batch_size: int = Field(16, ge=1, le=512)
    """Images a training step."""
    hidden: int = Field(128, ge=1, le=1024)
    """Size of the model's hidden layer."""
    patience: int = Field(5, ge=1, le=1000)
    """A site says that it has converged after so many epochs without progress."""
    tolerance: float = Field(0.01, ge=0, lt=1, allow_inf_nan=False)
    """What counts as no progress, as a share of the best loss before."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Of the division of images, the first weights, the training order and the sample of sites."""


PARAMETERS = DigitParameters


def recipe(parameters: DigitParameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites, whatever their names; their order decides who has which images.

    Raises:
        ValueError: the images cannot be divided over so many sites.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.fedadagrad.recipe import FedAdagradRecipe

    job = FedAdagradRecipe(parameters, sites)
    add_experiment_tracking(job, "tensorboard")
    return job
