"""NumpyFedAvgRecipe for jobs of one's own: its clients are an `ArrayTraining` instead of a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe

from fl_app.jobs.tuning import TASK_CHECK_PERIOD, tune

if TYPE_CHECKING:
    from fl_app.jobs.training import ArrayTraining


class ArrayTrainingRecipe(NumpyFedAvgRecipe):
    """Federated averaging of a NumPy array that each site trains with `training`.

    Args:
        training: what a site does.
        sites: the sites that take part; all of them take part in every round.
        model: the initial array.
        fedavg: what else NVFlare's NumpyFedAvgRecipe takes (name, num_rounds, key_metric, stop_cond...).
    """

    def __init__(self, *, training: ArrayTraining, sites: Sequence[str], model: Any, **fedavg: Any) -> None:
        if model is None:
            raise ValueError("a model is needed: without one NVFlare would train a 3x3 array of its own")
        self._training = training
        super().__init__(train_script="", min_clients=len(sites), model=model, **fedavg)
        tune(self, len(sites))

    def _prepare_client_apps(self) -> None:
        self._job.to_clients(self._training, tasks=["train"])

    def _get_controller_kwargs(self) -> dict[str, Any]:
        return {**super()._get_controller_kwargs(), "task_check_period": TASK_CHECK_PERIOD}
