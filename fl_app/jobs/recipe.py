"""FedAvgRecipe for jobs of the kit: its clients are a `SiteTraining` instead of a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.client.config import ExchangeFormat

from fl_app.jobs.tuning import TASK_CHECK_PERIOD, tune

if TYPE_CHECKING:
    from fl_app.jobs.training import SiteTraining


class TrainingRecipe(FedAvgRecipe):
    """Federated averaging of a PyTorch model that each site trains with `training`.

    Args:
        training: what a site does.
        sites: the sites that take part; all of them take part in every round.
        fedavg: what else NVFlare's FedAvgRecipe takes (name, model, num_rounds, key_metric, stop_cond...).
    """

    def __init__(self, *, training: SiteTraining, sites: Sequence[str], **fedavg: Any) -> None:
        self._training = training
        fedavg.setdefault("server_expected_format", ExchangeFormat.PYTORCH)
        super().__init__(train_script="", min_clients=len(sites), **fedavg)
        tune(self, len(sites))

    def _prepare_client_apps(self) -> None:
        self._job.to_clients(self._training, tasks=["train"])

    def _get_controller_kwargs(self) -> dict[str, Any]:
        return {**super()._get_controller_kwargs(), "task_check_period": TASK_CHECK_PERIOD}
