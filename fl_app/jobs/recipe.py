"""The recipe of PyTorch jobs whose sites run a `SiteTraining` in place of a script."""

from __future__ import annotations

from typing import Any

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.client.config import ExchangeFormat

from fl_app.jobs.recipe_defaults import SiteTrainingRecipe


class TrainingRecipe(SiteTrainingRecipe, FedAvgRecipe):
    """Federated averaging of a PyTorch model; see `SiteTrainingRecipe`."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"server_expected_format": ExchangeFormat.PYTORCH, **arguments})
