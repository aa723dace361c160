"""NVFlare's NumpyFedAvgRecipe from this job's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe.utils import set_per_site_config

from fl_app.jobs.numpy_fedavg import inputs
from fl_app.jobs.numpy_fedavg.job import EXAMPLE_MODEL, NumpyFedAvgParameters, SiteSettings
from fl_app.jobs.numpy_fedavg.median import MedianAggregator
from fl_app.jobs.tuning import TASK_CHECK_PERIOD, tune

EXAMPLE_SCRIPT = Path(__file__).with_name("train.py")


class ArrayRecipe(NumpyFedAvgRecipe):
    """Federated averaging of one array.

    Args:
        parameters: of the job.
        sites: those that take part.
    """

    def __init__(self, parameters: NumpyFedAvgParameters, sites: Sequence[str]) -> None:
        super().__init__(
            name="numpy-fedavg",
            # Never without one: NVFlare would train a 3x3 array of its own.
            model=inputs.initial_model(
                parameters.model if parameters.model is not None else EXAMPLE_MODEL
            ).tolist(),
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
        tune(self, len(sites))

    def _get_controller_kwargs(self) -> dict[str, Any]:
        return {**super()._get_controller_kwargs(), "task_check_period": TASK_CHECK_PERIOD}


def _aggregator(reference: str) -> Any:
    if reference == "mean":
        return None
    return MedianAggregator() if reference == "median" else inputs.aggregator(reference)


def _overrides(settings: SiteSettings | None) -> dict[str, Any]:
    """One site's settings under NVFlare's names; a site without any needs an entry, too, or gets no app."""
    if settings is None:
        return {}
    names = {"external_process": "launch_external_process", "transfer": "params_transfer_type"}
    given = settings.model_dump(exclude_none=True)
    return {names.get(name, name): value for name, value in given.items()}
