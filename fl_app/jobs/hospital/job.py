"""The job `hospital`: hospitals train one classifier without sharing patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from fl_app.jobs.parameters import QuorumParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

    from fl_app.jobs.hospital.training import Training

DESCRIPTION = "Tumour classifier trained by hospitals that share no patients (federated averaging, PyTorch)"
NEEDS = dict.fromkeys(("torch", "sklearn", "tensorboard"), "flarefleet[jobs]")
WARM_UP = ("fl_app.jobs.recipe", "fl_app.jobs.shared.adagrad")

DEFAULT_MU = 0.1
DEFAULT_SERVER_LEARNING_RATE = 0.1
TAU = 1e-3


class HospitalParameters(QuorumParameters):
    """Parameters of the job `hospital`."""

    rounds: int = Field(20, ge=1, le=1000)
    """Number of rounds"""
    local_epochs: int = Field(2, ge=1, le=100)
    """Epochs of each hospital per round"""
    learning_rate: float = Field(0.05, gt=0, le=1, allow_inf_nan=False)
    """Learning rate of the hospitals' stochastic gradient descent"""
    batch_size: int = Field(32, ge=1, le=512)
    """Patients per training step"""
    hidden: int = Field(32, ge=1, le=1024)
    """Size of the model's hidden layer"""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of the division of patients, the first weights and the training order"""
    dataset: Literal["breast_cancer", "digits"] = "breast_cancer"
    """Data set: breast_cancer (similar patients at each hospital) or digits (5 of 10 classes at each site)"""
    algorithm: Literal["fedavg", "fedprox", "fedadagrad"] = "fedavg"
    """Federated algorithm"""
    mu: float | None = Field(None, ge=0, le=10, allow_inf_nan=False)
    """Strength of FedProx's proximal term, 0.1 if not set; mu times learning_rate should be below 1"""
    server_learning_rate: float | None = Field(None, gt=0, le=10, allow_inf_nan=False)
    """Server learning rate of FedAdagrad, 0.1 if not set"""

    @model_validator(mode="after")
    def _reject_ignored_parameters(self) -> Self:
        for name, algorithm in (("mu", "fedprox"), ("server_learning_rate", "fedadagrad")):
            if getattr(self, name) is not None and self.algorithm != algorithm:
                raise ValueError(f"{name} needs algorithm={algorithm}; {self.algorithm} ignores it")
        return self

    @property
    def training(self) -> Training:
        """Settings of a hospital's training; the proximal term is 0 for other algorithms than FedProx."""
        from fl_app.jobs.hospital.training import Training

        mu = DEFAULT_MU if self.mu is None else self.mu
        used = mu if self.algorithm == "fedprox" else 0.0
        return Training(self.local_epochs, self.learning_rate, self.batch_size, used)

    @property
    def effective_server_learning_rate(self) -> float:
        """Server learning rate, if the algorithm is FedAdagrad."""
        return self.server_learning_rate or DEFAULT_SERVER_LEARNING_RATE


PARAMETERS = HospitalParameters


def recipe(parameters: HospitalParameters, sites: Sequence[str]) -> Recipe:
    """Make the recipe for these sites; their order decides which site has which patients.

    Raises:
        ValueError: the patients cannot be divided over this number of sites, or the quorum exceeds it.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.hospital.client import Hospital
    from fl_app.jobs.hospital.model import DATASETS
    from fl_app.jobs.recipe import TrainingRecipe
    from fl_app.jobs.shared.adagrad import FedAdagrad

    divide, model = DATASETS[parameters.dataset]
    divide(len(sites), parameters.seed)
    quorum = parameters.results_needed(len(sites))
    adagrad = FedAdagrad(
        num_clients=len(sites),
        num_rounds=parameters.rounds,
        server_learning_rate=parameters.effective_server_learning_rate,
        tau=TAU,
        quorum=quorum,
        quorum_grace=parameters.grace,
    )
    job = TrainingRecipe(
        name="hospital",
        # By name and arguments, as the server builds it: NVFlare would guess the arguments of an object.
        model={
            "class_path": f"{model.__module__}.{model.__name__}",
            "args": {"hidden": parameters.hidden, "seed": parameters.seed},
        },
        num_rounds=parameters.rounds,
        sites=sites,
        quorum=quorum,
        quorum_grace=parameters.grace,
        training=Hospital(list(sites), parameters.model_dump(exclude_none=True)),
        controller=adagrad if parameters.algorithm == "fedadagrad" else None,
        key_metric="own_accuracy",
    )
    add_experiment_tracking(job, "tensorboard")
    return job
