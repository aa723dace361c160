"""NVFlare's NumpyFedAvgRecipe, from the parameters of `numpy-fedavg`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe.utils import set_per_site_config

from fl_app.jobs.numpy_fedavg import inputs
from fl_app.jobs.numpy_fedavg.median import MedianAggregator
from fl_app.jobs.numpy_fedavg.parameters import NumpyFedAvgParameters, SiteSettings
from fl_app.jobs.recipe_defaults import TASK_CHECK_PERIOD, QuorumRecipe, apply_defaults

EXAMPLE_SCRIPT = Path(__file__).with_name("train.py")
EXAMPLE_MODEL = [0.0] * 5
"""Initial model of the example, whose script fits any number of weights."""

_ADAPTED = {
    "model",
    "min_clients",
    "key_metric_mode",
    "train_script",
    "aggregator",
    "aggregation_weights",
    "per_site",
    "quorum",
    "quorum_grace",
}


class NumpyRecipe(QuorumRecipe, NumpyFedAvgRecipe):
    """Federated averaging of one array."""

    task_check_period = TASK_CHECK_PERIOD

    def __init__(self, parameters: NumpyFedAvgParameters, sites: Sequence[str]) -> None:
        model = EXAMPLE_MODEL if parameters.model is None else parameters.model
        self.quorum = parameters.results_needed(len(sites))
        self.quorum_grace = parameters.grace
        super().__init__(
            name="numpy-fedavg",
            model=inputs.initial_model(model).tolist(),  # without one, NVFlare trains a 3x3 array of its own
            min_clients=self.quorum or parameters.min_clients or len(sites),
            train_script=parameters.train_script or str(EXAMPLE_SCRIPT),
            aggregator=_aggregator(parameters.aggregator),
            aggregation_weights=parameters.aggregation_weights or None,
            key_metric_mode=parameters.direction(),
            **parameters.model_dump(exclude=_ADAPTED, by_alias=True),
        )
        if parameters.per_site:  # NVFlare needs an entry for every site, even an empty one
            given = {site: parameters.per_site.get(site, SiteSettings()) for site in sites}
            changes = {
                site: each.model_dump(exclude_none=True, by_alias=True) for site, each in given.items()
            }
            set_per_site_config(self, changes)
        apply_defaults(self, len(sites))


def _aggregator(reference: str) -> Any:
    if reference == "mean":
        return None
    return MedianAggregator() if reference == "median" else inputs.aggregator(reference)
