"""Evaluation of the global model by the server's controller."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo
from nvflare.app_common.abstract.fl_model import FLModel

from fl_app.jobs.shared.journal import Evaluation, Journal
from fl_app.survival.resumable import Resumable, ResumableParts


class ServerEvaluation(ResumableParts):
    """Evaluate the model before the first round, every `evaluate_every` rounds, and after the last.

    A mixin for NVFlare's FedAvg controllers: name it before the controller among the bases.
    """

    evaluate_every: int

    @property
    @abstractmethod
    def journal(self) -> Journal:
        """The evaluations so far."""

    @abstractmethod
    def evaluate(self, rounds_done: int, weights: dict[str, Any]) -> Evaluation:
        """Evaluate the weights after this number of rounds."""

    def load_model(self) -> FLModel:
        """Load the model and evaluate it untrained, unless an earlier process has."""
        model = super().load_model()  # type: ignore[misc] # of the controller
        if not self.journal.evaluations:
            self._evaluate_and_log(0, model)
        return model

    def resumable_parts(self) -> dict[str, Resumable]:
        """Add the evaluations."""
        return {**super().resumable_parts(), "journal": self.journal}

    def update_model(self, model: FLModel, aggr_result: FLModel) -> FLModel:
        """Update the model, and evaluate it if an evaluation is due."""
        updated = super().update_model(model, aggr_result)  # type: ignore[misc]
        if self.rounds_done % self.evaluate_every == 0 or self.is_last_round:
            self._evaluate_and_log(self.rounds_done, updated)
        return updated

    @property
    def rounds_done(self) -> int:
        """Number of rounds including the current one."""
        return int(self.current_round) + 1  # type: ignore[attr-defined]

    @property
    def is_last_round(self) -> bool:
        """Whether the current round is the last."""
        return bool(self.rounds_done == self.start_round + self.num_rounds)  # type: ignore[attr-defined]

    def _evaluate_and_log(self, rounds_done: int, model: FLModel) -> None:
        evaluation = self.evaluate(rounds_done, model.params)
        scalars = evaluation.scalars()
        shown = ", ".join(f"{tag} {value:.4f}" for tag, value in scalars.items())
        best = " (best so far)" if evaluation.is_best else ""
        self.info(f"after {rounds_done} rounds: {shown}{best}")  # type: ignore[attr-defined]
        for tag, value in scalars.items():
            point = create_analytic_dxo(tag, value, AnalyticsDataType.SCALAR, global_step=rounds_done)
            send_analytic_dxo(self, point, self.fl_ctx)  # type: ignore[attr-defined]
