"""The server's part of the job `fedadagrad`: FedAdagrad with sampled sites, site reports and evaluation."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvflare.app_common.abstract.fl_model import FLModel

from fl_app.guard import Finding, report
from fl_app.jobs.fedadagrad import schedule
from fl_app.jobs.fedadagrad.client import LEARNING_RATE
from fl_app.jobs.fedadagrad.metadata import REPORT, BadReport, TrainingReport
from fl_app.jobs.shared.adagrad import FedAdagrad
from fl_app.jobs.shared.journal import Evaluation
from fl_app.jobs.shared.server_evaluation import ServerEvaluation
from fl_app.nvflare_internals.recipes import ResultHook

if TYPE_CHECKING:
    from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal

SENDER = "client_name"
"""Key of the site's name in the metadata of a result."""


class DigitController(ServerEvaluation, ResultHook, FedAdagrad):
    """FedAdagrad on handwritten digits.

    All arguments are named explicitly: NVFlare's export drops those that a subclass takes as **kwargs.

    Args:
        num_rounds: number of rounds.
        sites: number of sites that the images are divided over.
        fraction_train: share of the sites that train in a round.
        learning_rate: learning rate of the sites in the first rounds.
        halve_every: number of rounds after which the sites' learning rate halves.
        server_learning_rate: server learning rate of Adagrad.
        tau: see `ServerAdagrad`.
        evaluate_every: number of rounds between two evaluations.
        seed: seed of the sampled sites, of the first weights and of the test images.
        hidden: size of the model's hidden layer.
        persistor_id: NVFlare's component that loads and saves the model.
    """

    keeps_model_shape = True
    """Tells the guard to check the shapes of the results."""

    def __init__(
        self,
        *,
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
    ) -> None:
        super().__init__(
            num_clients=sites,
            num_rounds=num_rounds,
            server_learning_rate=server_learning_rate,
            tau=tau,
            persistor_id=persistor_id,
        )
        self.sites = sites
        self.fraction_train = fraction_train
        self.learning_rate = learning_rate
        self.halve_every = halve_every
        self.evaluate_every = evaluate_every
        self.seed = seed
        self.hidden = hidden

    def sample_clients(self, num_clients: int | None = None) -> list[str]:
        """Draw the sites that train in this round, by the seed."""
        registered = [client.name for client in self.engine.get_clients()]
        chosen = schedule.sample(registered, self.fraction_train, self.seed, self.current_round)
        self.info(f"Sampled clients: {chosen}")
        return chosen

    def send_model(self, *args: Any, data: FLModel, **kwargs: Any) -> Any:
        """Send the model with the learning rate, and without the metadata of other sites."""
        data.meta = {LEARNING_RATE: self._learning_rate}
        return super().send_model(*args, data=data, **kwargs)

    def add_result(self, result: FLModel) -> bool:
        """Add a result with a valid report to the average; end the job at an invalid report."""
        site = result.meta[SENDER]
        try:
            training = TrainingReport.from_wire(result.meta.pop(REPORT, None))
        except BadReport as error:
            self._end_job(site, error)
            return False
        if not super().add_result(result):
            return False
        self._journal.report(self.rounds_done, site, self._learning_rate, training)
        return True

    def evaluate(self, rounds_done: int, weights: dict[str, Any]) -> Evaluation:
        """Evaluate the weights on the test images."""
        return self._journal.evaluate(rounds_done, weights)

    @property
    def _learning_rate(self) -> float:
        return schedule.learning_rate(self.learning_rate, self.halve_every, self.current_round)

    @cached_property
    def _journal(self) -> EvaluationJournal:
        from fl_app.jobs.fedadagrad.digits import divide
        from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal
        from fl_app.jobs.shared.classifier import DigitClassifier

        test = divide(self.sites, self.seed).test
        return EvaluationJournal(Path(self.get_run_dir()), DigitClassifier(self.hidden, self.seed), test)

    def _end_job(self, site: str, error: BadReport) -> None:
        """End the job through the guard, and through NVFlare's panic if the job has no guard."""
        finding = Finding(
            what=f"bad metadata: {error}",
            remedy=f"Check that {site} runs this version of the job's code.",
            site=site,
            round=self.current_round,
        )
        report(self.fl_ctx, finding)
        self.panic(finding.line)
