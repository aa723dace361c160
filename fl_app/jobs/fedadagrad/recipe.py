"""The recipe of the job `fedadagrad`: the kit's, with another controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fl_app.jobs.fedadagrad.client import DigitSite
from fl_app.jobs.fedadagrad.controller import FedAdagrad
from fl_app.jobs.fedadagrad.digits import divide
from fl_app.jobs.recipe import TrainingRecipe

if TYPE_CHECKING:
    from fl_app.jobs.fedadagrad.job import DigitParameters


class FedAdagradRecipe(TrainingRecipe):
    """Federated Adagrad on handwritten digits.

    Raises:
        ValueError: the images cannot be divided over so many sites.
    """

    def __init__(self, parameters: DigitParameters, sites: Sequence[str]) -> None:
        divide(len(sites), parameters.seed)
        self._parameters = parameters
        self._sites = tuple(sites)
        shape = {"hidden": parameters.hidden, "seed": parameters.seed}
        super().__init__(
            name="fedadagrad",
            model={"class_path": "fl_app.jobs.fedadagrad.model.DigitReader", "args": shape},
            num_rounds=parameters.rounds,
            sites=sites,
            training=DigitSite(
                sites=list(sites),
                local_epochs=parameters.local_epochs,
                batch_size=parameters.batch_size,
                patience=parameters.patience,
                tolerance=parameters.tolerance,
                **shape,
            ),
            # The server chooses the best model, by its own evaluations.
            key_metric="",
        )

    def _create_controller(self, persistor_id: str, model_params: Any, model_aggregator: Any) -> FedAdagrad:
        return FedAdagrad(
            source_model=self.model,
            persistor_id=persistor_id,
            sites=len(self._sites),
            num_rounds=self._parameters.rounds,
            **self._parameters.model_dump(
                include={
                    *("fraction_train", "learning_rate", "halve_every", "server_learning_rate", "tau"),
                    *("evaluate_every", "seed", "hidden"),
                }
            ),
            **self._get_controller_kwargs(),
        )
