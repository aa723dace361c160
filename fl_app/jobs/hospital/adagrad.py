"""Adagrad at the server, for the job `hospital`: the averaged update is taken for a gradient.

Reddi et al., "Adaptive Federated Optimization", ICLR 2021. Averaging itself is NVFlare's FedAvg; only what is
made of the average is other.
"""

from __future__ import annotations

from typing import Any

import torch
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg

LEARNING_RATE = 0.1
TAU = 1e-3
"""Added to the root of the summed squares."""


class ServerAdagrad:
    """Steps from the global weights towards the average of the sites' weights.

    Args:
        learning_rate: of Adagrad.
    """

    def __init__(self, learning_rate: float) -> None:
        self._learning_rate = learning_rate
        self._weights: dict[str, torch.Tensor] = {}
        self._optimizer: torch.optim.Adagrad | None = None

    def step(
        self, weights: dict[str, torch.Tensor], average: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """The new global weights; the sums of squares go on from step to step."""
        if self._optimizer is None:
            self._weights = {name: torch.zeros_like(value) for name, value in weights.items()}
            self._optimizer = torch.optim.Adagrad(self._weights.values(), lr=self._learning_rate, eps=TAU)
        for name, weight in self._weights.items():
            weight.copy_(weights[name])
            weight.grad = weights[name] - average[name]
        self._optimizer.step()
        return {name: weight.detach().clone() for name, weight in self._weights.items()}


class FedAdagrad(FedAvg):
    """FedAvg, with Adagrad at the server.

    Every argument is spelled out: NVFlare's export drops those of a subclass that are not.

    Args:
        num_clients: sites a round.
        num_rounds: how many rounds.
        learning_rate: of Adagrad.
        persistor_id: NVFlare's component that keeps the model.
        task_check_period: seconds between two looks whether all have answered.
    """

    def __init__(
        self,
        *,
        num_clients: int,
        num_rounds: int,
        learning_rate: float,
        persistor_id: str = "persistor",
        task_check_period: float = 0.5,
    ) -> None:
        super().__init__(
            num_clients=num_clients,
            num_rounds=num_rounds,
            persistor_id=persistor_id,
            task_check_period=task_check_period,
        )
        self.learning_rate = learning_rate
        self._adagrad = ServerAdagrad(learning_rate)

    def update_model(self, model: FLModel, aggr_result: FLModel) -> Any:
        """Step towards the average, in place of taking it over."""
        aggr_result.params = self._adagrad.step(model.params, aggr_result.params)
        return super().update_model(model, aggr_result)
