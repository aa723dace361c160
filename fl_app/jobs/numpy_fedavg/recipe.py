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
from fl_app.jobs.recipe_defaults import TASK_CHECK_PERIOD, apply_defaults
from fl_app.nvflare_internals.recipes import FedAvgHooks

EXAMPLE_SCRIPT = Path(__file__).with_name("train.py")
EXAMPLE_MODEL = [0.0] * 5
"""Initial model of the example, whose script fits any number of weights."""


class NumpyRecipe(FedAvgHooks, NumpyFedAvgRecipe):
    """Federated averaging of one array."""

    task_check_period = TASK_CHECK_PERIOD

    def __init__(self, parameters: NumpyFedAvgParameters, sites: Sequence[str]) -> None:
        given = EXAMPLE_MODEL if parameters.model is None else parameters.model
        super().__init__(
            name="numpy-fedavg",
            model=inputs.initial_model(given).tolist(),  # without one, NVFlare trains a 3x3 array of its own
            min_clients=parameters.min_clients or len(sites),
            num_rounds=parameters.rounds,
            train_script=parameters.train_script or str(EXAMPLE_SCRIPT),
            train_args=parameters.train_args,
            aggregator=_aggregator(parameters.aggregator),
            launch_external_process=parameters.external_process,
            command=parameters.command,
            launch_once=parameters.launch_once,
            shutdown_timeout=parameters.shutdown_timeout,
            params_transfer_type=parameters.transfer,
            key_metric=parameters.key_metric,
            key_metric_mode=parameters.key_metric_mode,
            stop_cond=parameters.stop_cond,
            patience=parameters.patience,
            exclude_vars=parameters.exclude_vars,
            aggregation_weights=parameters.aggregation_weights or None,
            client_memory_gc_rounds=parameters.memory_gc_rounds,
        )
        if parameters.per_site:
            settings = parameters.per_site
            set_per_site_config(self, {site: _overrides(settings.get(site)) for site in sites})
        apply_defaults(self, len(sites))


def _aggregator(reference: str) -> Any:
    if reference == "mean":
        return None
    return MedianAggregator() if reference == "median" else inputs.aggregator(reference)


def _overrides(settings: SiteSettings | None) -> dict[str, Any]:
    """Return one site's settings by NVFlare's names. A site without an entry would get no app."""
    if settings is None:
        return {}
    names = {"external_process": "launch_external_process", "transfer": "params_transfer_type"}
    given = settings.model_dump(exclude_none=True)
    return {names.get(name, name): value for name, value in given.items()}
