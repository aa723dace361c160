"""The job `fedadagrad`: handwritten digits, sampled sites, Adagrad and evaluation at the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Handwritten digits with server-side Adagrad, sampled sites and server evaluation (PyTorch)"
NEEDS = dict.fromkeys(("torch", "safetensors", "sklearn", "tensorboard"), "flarefleet[jobs]")
WARM_UP = ("fl_app.jobs.recipe", "fl_app.jobs.fedadagrad.controller")


class DigitParameters(JobParameters):
    """Parameters of the jobs `fedadagrad` and `flower-digits`."""

    rounds: int = Field(20, ge=1, le=1000)
    """Number of rounds"""
    fraction_train: float = Field(0.5, gt=0, le=1, allow_inf_nan=False)
    """Share of the sites that train in a round, rounded up to whole sites"""
    local_epochs: int = Field(5, ge=1, le=100)
    """Epochs of each sampled site per round"""
    learning_rate: float = Field(0.01, gt=0, le=1, allow_inf_nan=False)
    """Learning rate of the sites in the first rounds"""
    halve_every: int = Field(5, ge=1, le=1000)
    """Number of rounds after which the sites' learning rate halves, repeatedly"""
    server_learning_rate: float = Field(0.05, gt=0, le=10, allow_inf_nan=False)
    """Server learning rate of FedAdagrad"""
    tau: float = Field(1e-3, gt=0, le=1, allow_inf_nan=False)
    """Adaptivity constant of FedAdagrad, added to the root of the summed squares"""
    evaluate_every: int = Field(1, ge=1, le=1000)
    """Number of rounds between two evaluations at the server; the last round is always evaluated"""
    batch_size: int = Field(16, ge=1, le=512)
    """Images per training step"""
    hidden: int = Field(128, ge=1, le=1024)
    """Size of the model's hidden layer"""
    patience: int = Field(5, ge=1, le=1000)
    """Number of epochs without progress after which a site reports convergence"""
    tolerance: float = Field(0.01, ge=0, lt=1, allow_inf_nan=False)
    """Smallest relative decrease of the best loss that is progress"""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of the division of images, the first weights, the training order and the sampled sites"""


PARAMETERS = DigitParameters


def recipe(parameters: DigitParameters, sites: Sequence[str]) -> Recipe:
    """Make the recipe for these sites; their order decides which site has which images.

    Raises:
        ValueError: the images cannot be divided over this number of sites.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.fedadagrad.client import DigitSite
    from fl_app.jobs.fedadagrad.controller import DigitController
    from fl_app.jobs.fedadagrad.digits import divide
    from fl_app.jobs.recipe import TrainingRecipe

    divide(len(sites), parameters.seed)
    given = parameters.model_dump()
    job = TrainingRecipe(
        name="fedadagrad",
        model={
            "class_path": "fl_app.jobs.shared.classifier.DigitClassifier",
            "args": {"hidden": parameters.hidden, "seed": parameters.seed},
        },
        num_rounds=parameters.rounds,
        sites=sites,
        training=DigitSite(list(sites), given),
        controller=DigitController(len(sites), given),
        key_metric="",  # the server's own evaluations choose the best model
    )
    add_experiment_tracking(job, "tensorboard")
    return job
