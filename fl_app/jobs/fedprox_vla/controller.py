"""The server's part of `fedprox-vla`: NVFlare's FedAvg, which sends mu, with evaluations and the hub."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.guard.finding import Finding, report
from fl_app.jobs.fedprox_vla.hub import HubRefusal, HubRepository
from fl_app.jobs.journal import MODEL_FOLDER

if TYPE_CHECKING:
    from fl_app.jobs.fedprox_vla.evaluation import PolicyEvaluator

SERVERS_OWN = 2**31
"""Seeds the server's made-up recordings, beside those of the sites (0, 1, 2...)."""


class EvaluatedFedProx(FedAvg):
    """Federated averaging that measures the policy every few rounds and publishes the best at the end.

    Every argument is spelled out: NVFlare's export drops those of a subclass that are not.

    Args:
        num_clients: how many sites train.
        num_rounds: how many rounds.
        persistor_id: NVFlare's component that keeps the model.
        task_check_period: seconds between two looks whether all have answered.
        mu: sent to the sites with the model; see `VlaParameters`, as all that follows.
    """

    def __init__(
        self,
        *,
        num_clients: int,
        num_rounds: int,
        mu: float,
        evaluate_every: int,
        policy: str,
        evaluation_dataset: str,
        episodes: int,
        batch_size: int,
        hub_repository: str,
        seed: int,
        persistor_id: str = "persistor",
        task_check_period: float = 0.5,
    ) -> None:
        super().__init__(
            num_clients=num_clients,
            num_rounds=num_rounds,
            persistor_id=persistor_id,
            task_check_period=task_check_period,
            fedprox_mu=mu,
        )
        self.mu = mu
        self.evaluate_every = evaluate_every
        self.policy = policy
        self.evaluation_dataset = evaluation_dataset
        self.episodes = episodes
        self.batch_size = batch_size
        self.hub_repository = hub_repository
        self.seed = seed
        self._hub: HubRepository | None = None

    def run(self) -> None:
        """Train; where the policy is to be published, ask the hub first whether it may."""
        if self.hub_repository:
            try:
                self._hub = HubRepository(self.hub_repository)
                self._hub.prepare()
            except HubRefusal as error:
                self._end("hub_repository", error)
                return
        super().run()

    def load_model(self) -> FLModel:
        """The persistor's model, measured untrained."""
        model = super().load_model()
        self._evaluate(0, model)
        return model

    def update_model(self, model: FLModel, aggr_result: FLModel) -> FLModel:
        """The average of the sites' policies, measured when it is its turn."""
        updated = super().update_model(model, aggr_result)
        if self._rounds_done % self.evaluate_every == 0 or self._is_last_round:
            self._evaluate(self._rounds_done, updated)
        return updated

    def save_model(self, model: FLModel) -> None:
        """Save it; after the last round, publish the best."""
        super().save_model(model)
        if self._hub is not None and self._is_last_round:
            best = min(self._evaluator.history, key=lambda each: each.squared_error)
            try:
                where = self._hub.push(
                    self._evaluator.best, f"after {best.round} rounds, MSE {best.squared_error:.4f}"
                )
            except HubRefusal as error:
                self._end(f"hub_repository, policy kept in the result's {MODEL_FOLDER}", error)
                return
            self.info(f"the policy of round {best.round} is at {where}")

    def _end(self, key: str, refusal: HubRefusal) -> None:
        """End the job; the same line reaches whoever watches it."""
        report(self.fl_ctx, Finding(refusal.what, refusal.remedy, site="server", key=key))

    @property
    def _rounds_done(self) -> int:
        return int(self.current_round) + 1

    @property
    def _is_last_round(self) -> bool:
        return bool(self._rounds_done == self.start_round + self.num_rounds)

    @cached_property
    def _evaluator(self) -> PolicyEvaluator:
        from fl_app.jobs.fedprox_vla.evaluation import PolicyEvaluator
        from fl_app.jobs.fedprox_vla.policy import Learner, build_policy
        from fl_app.jobs.fedprox_vla.recordings import make_recordings, open_recordings
        from fl_app.jobs.journal import Journal

        folder = Path(self.get_run_dir())
        policy = build_policy(self.policy, self.seed)
        recordings = (
            Path(self.evaluation_dataset)
            if self.evaluation_dataset
            else make_recordings(folder / "recordings", (self.seed, SERVERS_OWN), self.episodes)
        )
        learner = Learner(policy, open_recordings(recordings, policy.config.chunk_size))
        return PolicyEvaluator(learner, Journal(folder), self.batch_size, self.seed)

    def _evaluate(self, rounds_done: int, model: FLModel) -> None:
        evaluation: Any = self._evaluator.evaluate(rounds_done, model.params)
        best = ", the best so far" if evaluation.is_best else ""
        self.info(f"after {rounds_done} rounds: MSE {evaluation.squared_error:.4f}{best}")
        for tag in ("squared_error", "loss", "parameter_norm"):
            point = create_analytic_dxo(
                tag, getattr(evaluation, tag), AnalyticsDataType.SCALAR, global_step=rounds_done
            )
            send_analytic_dxo(self, point, self.fl_ctx)
