"""The server's part of `fedadagrad`: NVFlare's FedOpt with Adagrad, a sample of the sites in each round, and
evaluations.

Adagrad sums the squares of the averaged update over all rounds, one number a parameter, and divides each step
by the root of its sum: a parameter that has moved much moves less.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_opt.pt.fedopt_ctl import FedOpt

from fl_app.guard import Finding, report
from fl_app.jobs.fedadagrad import schedule
from fl_app.jobs.fedadagrad.client import LEARNING_RATE
from fl_app.jobs.fedadagrad.metadata import REPORT, BadReport, TrainingReport

if TYPE_CHECKING:
    from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal

_OPTIMIZERS = "fl_app.jobs.fedadagrad.optimizer"
SEEN_BY = "client_name"
"""Under which NVFlare says whose result it is."""


class FedAdagrad(FedOpt):
    """Server-side Adagrad on the sites' averaged update.

    Every argument is spelled out: NVFlare's export drops those of a subclass that are not.

    Args:
        source_model: the model, as NVFlare builds components; the optimizer steps on it.
        num_rounds: how many rounds.
        sites: how many sites the images are divided over.
        fraction_train: share of the sites that trains in a round.
        learning_rate: of the sites in the first rounds.
        halve_every: after so many rounds the sites' learning rate halves.
        server_learning_rate: of Adagrad.
        tau: added to the root of the summed squares; the larger, the more the sizes of updates count.
        evaluate_every: the server measures the model every so many rounds, and before the first and after
            the last.
        seed: of the sample of sites, of the first weights and of the test images.
        hidden: size of the model's hidden layer.
        persistor_id: NVFlare's component that keeps the model.
        task_check_period: seconds between two looks whether all have answered.
    """

    keeps_model_shape = True
    """So that the guard holds each site to the shape it was sent, though results are read on the way."""

    def __init__(
        self,
        *,
        source_model: Any,
        num_rounds: int,
        sites: int,
        fraction_train: float,
        learning_rate: float,
        halve_every: int,
        server_learning_rate: float,
        tau: float,
        evaluate_every: int,
        seed: int,
        hidden: int,
        persistor_id: str = "persistor",
        task_check_period: float = 0.5,
    ) -> None:
        super().__init__(
            source_model=source_model,
            optimizer_args={
                "path": f"{_OPTIMIZERS}.Adagrad",
                "args": {"lr": server_learning_rate, "eps": tau},
            },
            lr_scheduler_args={"path": f"{_OPTIMIZERS}.ConstantLR", "args": {"factor": 1.0}},
            device="cpu",
            num_clients=sites,
            num_rounds=num_rounds,
            persistor_id=persistor_id,
            task_check_period=task_check_period,
        )
        self.sites = sites
        self.fraction_train = fraction_train
        self.learning_rate = learning_rate
        self.halve_every = halve_every
        self.server_learning_rate = server_learning_rate
        self.tau = tau
        self.evaluate_every = evaluate_every
        self.seed = seed
        self.hidden = hidden

    def load_model(self) -> FLModel:
        """The persistor's model, which is also the one that the optimizer steps on; measured untrained."""
        model = super().load_model()
        self.torch_model.load_state_dict(model.params)
        self._evaluate(0, model.params)
        return model

    def sample_clients(self, num_clients: int | None = None) -> list[str]:
        """The sites that train in this round: a fraction of all, drawn by the seed."""
        everyone = [client.name for client in self.engine.get_clients()]
        chosen = schedule.sample(everyone, self.fraction_train, self.seed, self.current_round)
        self.info(f"Sampled clients: {chosen}")
        return chosen

    def send_model(self, *args: Any, data: FLModel, **kwargs: Any) -> Any:
        """Send the learning rate with the model, and nothing that a site said about itself to the others."""
        data.meta = {LEARNING_RATE: self._learning_rate}
        return super().send_model(*args, data=data, **kwargs)

    def update_model(self, global_model: FLModel, aggr_result: FLModel) -> FLModel:
        """Step by Adagrad from the global model towards the average of the sites' models, and evaluate.

        What is no parameter, such as the running means of a batch norm, becomes the average itself.
        """
        average = aggr_result.params
        update = {name: average[name] - value for name, value in global_model.params.items()}
        stepped, updated = self.optimizer_update({name: value.numpy() for name, value in update.items()})
        weights = {
            name: stepped[name].detach().clone() if name in updated else average[name] for name in stepped
        }
        self.torch_model.load_state_dict(weights)
        global_model.params = weights
        global_model.metrics = aggr_result.metrics
        rounds_done = self.current_round + 1
        if rounds_done % self.evaluate_every == 0 or rounds_done == self.start_round + self.num_rounds:
            self._evaluate(rounds_done, weights)
        return global_model

    @property
    def _learning_rate(self) -> float:
        return schedule.learning_rate(self.learning_rate, self.halve_every, self.current_round)

    @cached_property
    def _journal(self) -> EvaluationJournal:
        from fl_app.jobs.fedadagrad.digits import divide
        from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal
        from fl_app.jobs.fedadagrad.model import DigitReader

        test = divide(self.sites, self.seed).test
        return EvaluationJournal(Path(self.get_run_dir()), DigitReader(self.hidden, self.seed), test)

    def _aggregate_one_result(self, result: FLModel) -> bool:
        """Take a site's result only with a report that can be used: otherwise the job ends."""
        site = result.meta[SEEN_BY]
        try:
            training = TrainingReport.from_wire(result.meta.pop(REPORT, None))
        except BadReport as error:
            self._refuse(site, error)
            return False
        if not super()._aggregate_one_result(result):
            return False
        self._journal.report(self.current_round + 1, site, self._learning_rate, training)
        return True

    def _refuse(self, site: str, error: BadReport) -> None:
        """End the job, by the guard or, where there is none, by NVFlare's panic alone."""
        finding = Finding(
            what=f"bad metadata: {error}",
            remedy=f"See that {site} runs this job's code in this version.",
            site=site,
            round=self.current_round,
        )
        report(self.fl_ctx, finding)
        self.panic(finding.line)

    def _evaluate(self, rounds_done: int, weights: dict[str, Any]) -> None:
        evaluation = self._journal.evaluate(rounds_done, weights)
        best = ", the best so far" if evaluation.is_best else ""
        self.info(f"after {rounds_done} rounds: accuracy {evaluation.accuracy:.4f}{best}")
        for tag in ("accuracy", "loss", "parameter_norm"):
            point = create_analytic_dxo(
                tag, getattr(evaluation, tag), AnalyticsDataType.SCALAR, global_step=rounds_done
            )
            send_analytic_dxo(self, point, self.fl_ctx)
