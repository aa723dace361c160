"""The recipe of the job `fedprox-vla`: the kit's, with another controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fl_app.jobs.fedprox_vla.client import RobotSite
from fl_app.jobs.fedprox_vla.controller import EvaluatedFedProx
from fl_app.jobs.recipe import TrainingRecipe

if TYPE_CHECKING:
    from fl_app.jobs.fedprox_vla.job import VlaParameters


class FedProxVlaRecipe(TrainingRecipe):
    """FedProx of a SmolVLA policy."""

    def __init__(self, parameters: VlaParameters, sites: Sequence[str]) -> None:
        self._parameters = parameters
        settings = parameters.model_dump()
        super().__init__(
            name="fedprox-vla",
            model={
                "class_path": "fl_app.jobs.fedprox_vla.policy.build_policy",
                "args": {"source": parameters.policy, "seed": parameters.seed},
            },
            num_rounds=parameters.rounds,
            sites=sites,
            training=RobotSite(
                sites=list(sites),
                **{
                    name: settings[name]
                    for name in (
                        *("policy", "dataset", "episodes", "local_epochs", "learning_rate", "batch_size"),
                        *("mu", "max_norm", "amp", "device", "seed"),
                    )
                },
            ),
            # The server chooses the best policy, by its own evaluations.
            key_metric="",
        )

    def _create_controller(
        self, persistor_id: str, model_params: Any, model_aggregator: Any
    ) -> EvaluatedFedProx:
        return EvaluatedFedProx(
            num_clients=self.min_clients,
            persistor_id=persistor_id,
            num_rounds=self._parameters.rounds,
            **self._parameters.model_dump(
                include={
                    *("mu", "evaluate_every", "policy", "evaluation_dataset", "episodes"),
                    *("batch_size", "hub_repository", "seed"),
                }
            ),
            **self._get_controller_kwargs(),
        )
