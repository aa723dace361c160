"""The server's part of the job `fedprox-vla`: FedAvg that sends mu, evaluates, and publishes the policy."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.guard import Finding, fail
from fl_app.jobs.fedprox_vla.hub import HubError, HubRepository
from fl_app.jobs.fedprox_vla.job import VlaParameters
from fl_app.jobs.recipe_defaults import TASK_CHECK_PERIOD
from fl_app.jobs.shared.journal import MODEL_FOLDER, Evaluation, Journal
from fl_app.jobs.shared.precise_average import PreciseAverage
from fl_app.jobs.shared.quorum import QuorumRounds
from fl_app.jobs.shared.server_evaluation import ServerEvaluation

if TYPE_CHECKING:
    from fl_app.jobs.fedprox_vla.evaluation import PolicyEvaluator

SERVER_SEED = 2**31
"""Seed of the server's synthetic recordings; the sites have 0, 1, 2..."""


class EvaluatedFedProx(ServerEvaluation, PreciseAverage, QuorumRounds, FedAvg):
    """FedAvg that evaluates the policy every few rounds and publishes the best one at the end.

    Args:
        num_clients: number of sites.
        parameters: parameters of the job; see `VlaParameters`.
    """

    def __init__(self, num_clients: int, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self._settings = settings = VlaParameters(**parameters)
        self.evaluate_every = settings.evaluate_every
        self.quorum, self.quorum_grace = settings.results_needed(num_clients), settings.grace
        super().__init__(
            num_clients=num_clients,
            num_rounds=settings.rounds,
            persistor_id="persistor",
            task_check_period=TASK_CHECK_PERIOD,
            fedprox_mu=settings.mu,
        )
        self._hub: HubRepository | None = None

    def run(self) -> None:
        """Check the hub first, if the job publishes the policy; then train."""
        if self._settings.hub_repository:
            try:
                self._hub = HubRepository(self._settings.hub_repository)
                self._hub.prepare()
            except HubError as error:
                self._end_job("hub_repository", error)
                return
        super().run()

    def save_model(self, model: FLModel) -> None:
        """Save the model; after the last round, publish the best one."""
        super().save_model(model)
        if self._hub is None or not self.is_last_round:
            return
        best = min(self._evaluator.journal.evaluations, key=lambda each: each.squared_error)
        message = f"after {best.round} rounds, MSE {best.squared_error:.4f}"
        try:
            url = self._hub.push(self._evaluator.best, message)
        except HubError as error:
            self._end_job(f"hub_repository, policy kept in the result's {MODEL_FOLDER}", error)
            return
        self.info(f"published the policy of round {best.round}: {url}")

    def evaluate(self, rounds_done: int, weights: dict[str, Any]) -> Evaluation:
        """Evaluate the policy on the server's recordings."""
        return self._evaluator.evaluate(rounds_done, weights)

    def _end_job(self, key: str, error: HubError) -> None:
        fail(self, self.fl_ctx, Finding(error.what, error.remedy, site="server", key=key))

    @property
    def journal(self) -> Journal:
        """The evaluations so far."""
        return self._evaluator.journal

    @cached_property
    def _evaluator(self) -> PolicyEvaluator:
        from fl_app.jobs.fedprox_vla.evaluation import PolicyEvaluator, PolicyJournal
        from fl_app.jobs.fedprox_vla.policy import PolicyPipeline

        folder, given = Path(self.get_run_dir()), self._settings
        pipeline = PolicyPipeline.build(given, given.evaluation_dataset, folder, SERVER_SEED)
        return PolicyEvaluator(pipeline, PolicyJournal(folder), given.batch_size, given.seed)
