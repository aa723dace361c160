"""The server's part of the job `fedadagrad`: FedAdagrad with sampled sites, site reports and evaluation."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nvflare.app_common.abstract.fl_model import FLModel

from fl_app.guard import Finding, fail
from fl_app.jobs.fedadagrad import schedule
from fl_app.jobs.fedadagrad.client import LEARNING_RATE
from fl_app.jobs.fedadagrad.job import DigitParameters
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

    Args:
        sites: number of sites that the images are divided over.
        parameters: parameters of the job; see `DigitParameters`.
    """

    keeps_model_shape: ClassVar = True
    """Tells the guard to check the shapes of the results."""

    def __init__(self, sites: int, parameters: dict[str, Any]) -> None:
        self.sites = sites
        self.parameters = parameters
        self._settings = settings = DigitParameters(**parameters)
        self.evaluate_every = settings.evaluate_every
        super().__init__(
            num_clients=sites,
            num_rounds=settings.rounds,
            server_learning_rate=settings.server_learning_rate,
            tau=settings.tau,
        )

    def sample_clients(self, num_clients: int | None = None) -> list[str]:
        """Draw the sites that train in this round, by the seed."""
        registered, given = [client.name for client in self.engine.get_clients()], self._settings
        chosen = schedule.sample(registered, given.fraction_train, given.seed, self.current_round)
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
            remedy = f"Check that {site} runs this version of the job's code."
            what = f"bad metadata: {error}"
            fail(self, self.fl_ctx, Finding(what, remedy, site=site, round=self.rounds_done))
            return False
        if not super().add_result(result):
            return False
        self.journal.report(self.rounds_done, site, self._learning_rate, training)
        return True

    def evaluate(self, rounds_done: int, weights: dict[str, Any]) -> Evaluation:
        """Evaluate the weights on the images of the server."""
        return self.journal.evaluate(rounds_done, weights)

    @property
    def _learning_rate(self) -> float:
        given = self._settings
        return schedule.learning_rate(given.learning_rate, given.halve_every, self.current_round)

    @cached_property
    def journal(self) -> EvaluationJournal:
        """The evaluations and reports so far."""
        from fl_app.jobs.fedadagrad.digits import divide
        from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal
        from fl_app.jobs.shared.classifier import DigitClassifier

        seed = self._settings.seed
        model, digits = DigitClassifier(self._settings.hidden, seed), divide(self.sites, seed)
        return EvaluationJournal(Path(self.get_run_dir()), model, digits)
