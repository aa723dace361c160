"""The server's part of the job `fedadagrad`: FedAdagrad with sampled sites, site reports and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nvflare.app_common.abstract.fl_model import FLModel

from fl_app.guard import Finding, fail
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


@dataclass(eq=False, kw_only=True)
class DigitController(ServerEvaluation, ResultHook, FedAdagrad):
    """FedAdagrad on handwritten digits; see `DigitParameters` for all arguments but `sites`."""

    num_rounds: int
    sites: int
    """Number of sites that the images are divided over."""
    fraction_train: float
    learning_rate: float
    halve_every: int
    server_learning_rate: float
    tau: float
    evaluate_every: int
    seed: int
    hidden: int

    keeps_model_shape: ClassVar = True
    """Tells the guard to check the shapes of the results."""

    def __post_init__(self) -> None:
        """Initialise NVFlare's controller."""
        super().__init__(
            num_clients=self.sites,
            num_rounds=self.num_rounds,
            server_learning_rate=self.server_learning_rate,
            tau=self.tau,
        )

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
        """Evaluate the weights on the images of the server."""
        return self._journal.evaluate(rounds_done, weights)

    @property
    def _learning_rate(self) -> float:
        return schedule.learning_rate(self.learning_rate, self.halve_every, self.current_round)

    @cached_property
    def _journal(self) -> EvaluationJournal:
        from fl_app.jobs.fedadagrad.digits import divide
        from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal
        from fl_app.jobs.shared.classifier import DigitClassifier

        model, digits = DigitClassifier(self.hidden, self.seed), divide(self.sites, self.seed)
        return EvaluationJournal(Path(self.get_run_dir()), model, digits)

    def _end_job(self, site: str, error: BadReport) -> None:
        finding = Finding(
            what=f"bad metadata: {error}",
            remedy=f"Check that {site} runs this version of the job's code.",
            site=site,
            round=self.rounds_done,
        )
        fail(self, self.fl_ctx, finding)
