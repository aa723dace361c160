"""The recipe of PyTorch jobs: federated averaging whose sites run a `SiteTraining` in place of a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.client.config import ExchangeFormat

from fl_app.jobs.recipe_defaults import TASK_CHECK_PERIOD, apply_defaults
from fl_app.nvflare_internals.recipes import FedAvgHooks

if TYPE_CHECKING:
    from nvflare.app_common.workflows.fedavg import FedAvg

    from fl_app.jobs.training import SiteTraining


class TrainingRecipe(FedAvgHooks, FedAvgRecipe):
    """Federated averaging of a PyTorch model that each site trains with `training`.

    Args:
        training: what each site runs.
        sites: the participating sites; all of them train in every round.
        controller: runs at the server in place of NVFlare's FedAvg; it must load and save the model with the
            component `persistor`.
        fedavg: further arguments of NVFlare's FedAvgRecipe (name, model, num_rounds, key_metric...).
    """

    task_check_period = TASK_CHECK_PERIOD

    def __init__(
        self, *, training: SiteTraining, sites: Sequence[str], controller: FedAvg | None = None, **fedavg: Any
    ) -> None:
        self.executor = training
        self.controller = controller
        fedavg.setdefault("server_expected_format", ExchangeFormat.PYTORCH)
        super().__init__(train_script="", min_clients=len(sites), **fedavg)
        apply_defaults(self, len(sites))
