"""The job `hospital`: one classifier, trained by hospitals whose patients stay apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "One tumour classifier for hospitals whose patients stay apart (federated averaging, PyTorch)"
NEEDS = dict.fromkeys(("torch", "sklearn", "tensorboard"), "flarefleet[jobs]")
WARM_UP = ("fl_app.jobs.hospital.recipe",)


class HospitalParameters(JobParameters):
    """How the hospitals train."""

    rounds: int = Field(20, ge=1, le=1000)
    """How often the hospitals' models are averaged."""
    local_epochs: int = Field(2, ge=1, le=100)
    """Passes of each hospital over its own patients in a round."""
    learning_rate: float = Field(0.05, gt=0, le=1, allow_inf_nan=False)
    """Of stochastic gradient descent."""
    batch_size: int = Field(32, ge=1, le=512)
    """Patients a training step."""
    hidden: int = Field(32, ge=1, le=1024)
    """Size of the model's hidden layer."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Of the division of patients, the first weights and the training order."""
    dataset: Literal["breast_cancer", "digits"] = "breast_cancer"
    """breast_cancer: similar patients at one hospital. digits: each site sees 5 of the 10."""
    algorithm: Literal["fedavg", "fedprox", "fedadagrad"] = "fedavg"
    """fedavg: the average. fedprox: training is held near it. fedadagrad: Adagrad steps towards it."""
    mu: float | None = Field(None, ge=0, le=10, allow_inf_nan=False)
    """Of fedprox: how strongly it holds; 0.1 if not given. Times learning_rate it should stay below 1."""
    server_learning_rate: float | None = Field(None, gt=0, le=10, allow_inf_nan=False)
    """Of fedadagrad at the server; 0.1 if not given."""

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        for name, algorithm in (("mu", "fedprox"), ("server_learning_rate", "fedadagrad")):
            if getattr(self, name) is not None and self.algorithm != algorithm:
                raise ValueError(f"{name} is of algorithm={algorithm}; {self.algorithm} would ignore it")
        return self


PARAMETERS = HospitalParameters


MU = 0.1
"""Of fedprox, where nothing else is asked for."""


def recipe(parameters: HospitalParameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites, whatever their names; their order decides who has which patients.

    Raises:
        ValueError: the patients cannot be divided over so many sites.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.hospital.datasets import DIVISIONS
    from fl_app.jobs.hospital.recipe import HospitalRecipe

    DIVISIONS[parameters.dataset](len(sites), parameters.seed)
    job = HospitalRecipe(parameters, sites)
    add_experiment_tracking(job, "tensorboard")
    return job
