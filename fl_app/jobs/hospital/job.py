"""The job `hospital`: one tumour classifier, trained by hospitals whose patients stay apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "One tumour classifier for hospitals whose patients stay apart (federated averaging, PyTorch)"
NEEDS = dict.fromkeys(("torch", "sklearn", "tensorboard"), "flarefleet[jobs]")
WARM_UP = ("fl_app.jobs.recipe",)


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


PARAMETERS = HospitalParameters


def recipe(parameters: HospitalParameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites, whatever their names; their order decides who has which patients.

    Raises:
        ValueError: the patients cannot be divided over so many sites.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.hospital.client import Hospital
    from fl_app.jobs.hospital.data import divide
    from fl_app.jobs.recipe import TrainingRecipe

    divide(len(sites), parameters.seed)
    job = TrainingRecipe(
        name="hospital",
        # By name and arguments, as the server builds it: from an object NVFlare would guess the arguments.
        model={
            "class_path": "fl_app.jobs.hospital.model.TumourClassifier",
            "args": {"hidden": parameters.hidden, "seed": parameters.seed},
        },
        num_rounds=parameters.rounds,
        sites=sites,
        training=Hospital(
            hospitals=list(sites),
            seed=parameters.seed,
            hidden=parameters.hidden,
            local_epochs=parameters.local_epochs,
            learning_rate=parameters.learning_rate,
            batch_size=parameters.batch_size,
        ),
        key_metric="own_accuracy",
    )
    add_experiment_tracking(job, "tensorboard")
    return job
