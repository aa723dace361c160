"""What the server keeps while a job runs: every evaluation, all reports of the sites, and the best model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from safetensors.torch import save
from torch import Tensor

from fl_app.jobs.fedadagrad.digits import Images
from fl_app.jobs.fedadagrad.learning import measure, norm
from fl_app.jobs.fedadagrad.metadata import TrainingReport
from fl_app.jobs.fedadagrad.model import DigitReader
from fl_app.jobs.journal import Journal

EVALUATIONS = "evaluation_history.json"
REPORTS = "training_history.json"
BEST_MODEL = "best_model.safetensors"


class Evaluation(BaseModel):
    """The global model on the test images."""

    model_config = ConfigDict(frozen=True)

    round: int
    """After how many rounds; 0 is the untrained model."""
    accuracy: float
    loss: float
    parameter_norm: float
    is_best: bool
    """Better than every evaluation before."""


class EvaluationJournal(Journal):
    """A job's results at the server.

    Args:
        folder: the job's own folder there.
        model: a model to evaluate with; its weights are replaced at each evaluation.
        test: the images to evaluate on.
    """

    def __init__(self, folder: Path, model: DigitReader, test: Images) -> None:
        super().__init__(folder)
        self._model = model
        self._test = test
        self._evaluations: list[Evaluation] = []
        self._reports: list[dict[str, Any]] = []

    def evaluate(self, rounds_done: int, weights: Mapping[str, Tensor]) -> Evaluation:
        """Measure the global model on the test images, and keep it if it is the best so far."""
        self._model.load_state_dict(dict(weights))
        quality = measure(self._model, self._test)
        evaluation = Evaluation(
            round=rounds_done,
            accuracy=quality.accuracy,
            loss=quality.loss,
            parameter_norm=norm(weights),
            is_best=all(quality.accuracy > earlier.accuracy for earlier in self._evaluations),
        )
        self._evaluations.append(evaluation)
        self.write_json(f"round_{rounds_done}_server_eval.json", evaluation.model_dump())
        self.write_json(EVALUATIONS, [each.model_dump() for each in self._evaluations])
        if evaluation.is_best:
            about = {"round": str(rounds_done), "accuracy": repr(quality.accuracy)}
            tensors = {name: value.contiguous() for name, value in self._model.state_dict().items()}
            self.write(BEST_MODEL, save(tensors, metadata=about))
        return evaluation

    def report(self, rounds_done: int, site: str, learning_rate: float, report: TrainingReport) -> None:
        """Keep what a site said about its training in a round."""
        self._reports.append(
            {"round": rounds_done, "site": site, "learning_rate": learning_rate, **report.to_wire()}
        )
        self.write_json(REPORTS, self._reports)
