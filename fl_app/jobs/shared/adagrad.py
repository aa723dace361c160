"""Adagrad at the server: the averaged update of the sites serves as its gradient.

Reddi et al., "Adaptive Federated Optimization", ICLR 2021.
"""

from __future__ import annotations

from typing import Any

import torch
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.jobs.parameters import QUORUM_GRACE_SECONDS
from fl_app.jobs.recipe_defaults import TASK_CHECK_PERIOD
from fl_app.jobs.shared.quorum import QuorumRounds
from fl_app.survival.resumable import Resumable, ResumableParts, State

Weights = dict[str, torch.Tensor]


class ServerAdagrad(Resumable):
    """Adagrad steps from the global weights towards the average of the sites' weights.

    Every entry of the weights must be a trainable parameter: a batch norm's statistics need no Adagrad step.

    Args:
        learning_rate: server learning rate.
        tau: constant that is added to the root of the summed squares; a larger one makes steps follow the
            size of the updates more.
    """

    def __init__(self, learning_rate: float, tau: float) -> None:
        self._learning_rate = learning_rate
        self._tau = tau
        self._weights: Weights = {}
        self._optimizer: torch.optim.Adagrad | None = None

    def step(self, weights: Weights, average: Weights) -> Weights:
        """Return the new global weights. The sums of squares grow from step to step."""
        if self._optimizer is None:
            self._optimizer = self._start(weights)
        for name, weight in self._weights.items():
            weight.copy_(weights[name])
            weight.grad = weights[name] - average[name]
        self._optimizer.step()
        return {name: weight.detach().clone() for name, weight in self._weights.items()}

    def checkpoint(self) -> State:
        """Return the sums of squares and the number of steps; nothing before the first step."""
        if self._optimizer is None:
            return State()
        states = {name: self._optimizer.state[weight] for name, weight in self._weights.items()}
        steps = [int(state["step"]) for state in states.values()]
        return State({name: state["sum"] for name, state in states.items()}, {"steps": max(steps, default=0)})

    def resume(self, state: State) -> None:
        """Go on with the sums of an earlier process."""
        if not state.arrays:
            return
        self._optimizer = self._start(dict(state.arrays))
        for name, weight in self._weights.items():
            known = self._optimizer.state[weight]
            known["sum"].copy_(state.arrays[name])
            known["step"].fill_(state.document["steps"])

    def _start(self, weights: Weights) -> torch.optim.Adagrad:
        self._weights = {name: torch.zeros_like(value) for name, value in weights.items()}
        return torch.optim.Adagrad(self._weights.values(), lr=self._learning_rate, eps=self._tau)


class FedAdagrad(QuorumRounds, ResumableParts, FedAvg):
    """NVFlare's FedAvg with Adagrad at the server.

    NVFlare's export needs every argument by name: it drops those that a constructor takes as **kwargs.
    """

    def __init__(
        self,
        *,
        num_clients: int,
        num_rounds: int,
        server_learning_rate: float,
        tau: float,
        quorum: int = 0,
        quorum_grace: float = QUORUM_GRACE_SECONDS,
    ) -> None:
        super().__init__(
            num_clients=num_clients,
            num_rounds=num_rounds,
            persistor_id="persistor",
            task_check_period=TASK_CHECK_PERIOD,
        )
        self.server_learning_rate = server_learning_rate
        self.tau = tau
        self.quorum = quorum
        self.quorum_grace = quorum_grace
        self._adagrad = ServerAdagrad(server_learning_rate, tau)

    def resumable_parts(self) -> dict[str, Resumable]:
        """Add the optimizer."""
        return {**super().resumable_parts(), "adagrad": self._adagrad}

    def update_model(self, model: FLModel, aggr_result: FLModel) -> Any:
        """Step towards the average instead of adopting it."""
        aggr_result.params = self._adagrad.step(model.params, aggr_result.params)
        return super().update_model(model, aggr_result)
