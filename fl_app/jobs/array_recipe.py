"""The recipe of NumPy jobs: federated averaging whose sites run an `ArrayTraining` in place of a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe

from fl_app.jobs.recipe_defaults import TASK_CHECK_PERIOD, apply_defaults
from fl_app.nvflare_internals.recipes import FedAvgHooks

if TYPE_CHECKING:
    from fl_app.jobs.training import ArrayTraining


class ArrayTrainingRecipe(FedAvgHooks, NumpyFedAvgRecipe):
    """Federated averaging of a NumPy array that each site trains with `training`.

    Args:
        training: what each site runs.
        sites: the participating sites; all of them train in every round.
        model: the initial array.
        fedavg: further arguments of NVFlare's NumpyFedAvgRecipe (name, num_rounds, key_metric...).

    Raises:
        ValueError: `model` is None.
    """

    task_check_period = TASK_CHECK_PERIOD

    def __init__(self, *, training: ArrayTraining, sites: Sequence[str], model: Any, **fedavg: Any) -> None:
        if model is None:
            raise ValueError("model is required: without one, NVFlare trains a 3x3 array of its own")
        self.executor = training
        super().__init__(train_script="", min_clients=len(sites), model=model, **fedavg)
        apply_defaults(self, len(sites))
