"""The recipe of the job `hospital`: the kit's, and for fedadagrad another controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fl_app.jobs.hospital.adagrad import LEARNING_RATE, FedAdagrad
from fl_app.jobs.hospital.client import Hospital
from fl_app.jobs.hospital.job import MU
from fl_app.jobs.hospital.model import MODELS
from fl_app.jobs.recipe import TrainingRecipe

if TYPE_CHECKING:
    from fl_app.jobs.hospital.job import HospitalParameters


class HospitalRecipe(TrainingRecipe):
    """Hospitals train one classifier.

    Args:
        parameters: of the job.
        sites: the hospitals; their order decides who has which patients.
    """

    def __init__(self, parameters: HospitalParameters, sites: Sequence[str]) -> None:
        self._parameters = parameters
        model = MODELS[parameters.dataset]
        super().__init__(
            name="hospital",
            # By name and arguments, as the server builds it: from an object NVFlare would guess them.
            model={
                "class_path": f"{model.__module__}.{model.__name__}",
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
                dataset=parameters.dataset,
                mu=mu_of(parameters),
            ),
            key_metric="own_accuracy",
        )

    def _create_controller(self, persistor_id: str, model_params: Any, model_aggregator: Any) -> Any:
        if self._parameters.algorithm != "fedadagrad":
            return super()._create_controller(persistor_id, model_params, model_aggregator)
        return FedAdagrad(
            num_clients=self.min_clients,
            num_rounds=self.num_rounds,
            learning_rate=self._parameters.server_learning_rate or LEARNING_RATE,
            persistor_id=persistor_id,
            **self._get_controller_kwargs(),
        )


def mu_of(parameters: HospitalParameters) -> float:
    """The strength of FedProx; 0 where it is not FedProx."""
    if parameters.algorithm != "fedprox":
        return 0.0
    return MU if parameters.mu is None else parameters.mu
