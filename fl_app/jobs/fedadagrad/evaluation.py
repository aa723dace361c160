"""Result files of the jobs `fedadagrad` and `flower-digits`: evaluations, site reports and the best model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from fl_app.jobs.fedadagrad.digits import Digits
from fl_app.jobs.fedadagrad.metadata import TrainingReport
from fl_app.jobs.shared.classifier import DigitClassifier, evaluate_classifier
from fl_app.jobs.shared.journal import Evaluation, Journal, parameter_norm
from fl_app.survival.resumable import State

REPORTS = "training_history.json"
BEST_MODEL = "best_model.safetensors"


class DigitEvaluation(Evaluation, frozen=True):
    """The global model: accuracy and loss on the test images."""

    accuracy: float
    validation_accuracy: float
    """Accuracy on the validation images, which chooses the best model."""


class EvaluationJournal(Journal):
    """Evaluate the global model at the server and keep the results.

    Args:
        folder: the job's run folder.
        model: model for evaluations; each evaluation replaces its weights.
        digits: the images of the server; those of the sites are not used.
    """

    evaluation = DigitEvaluation
    best_model = BEST_MODEL

    def __init__(self, folder: Path, model: DigitClassifier, digits: Digits) -> None:
        super().__init__(folder)
        self._model = model
        self._digits = digits
        self._reports: list[dict[str, Any]] = []

    def checkpoint(self) -> State:
        """Return the evaluations, the reports, and the best model."""
        state = super().checkpoint()
        return State(document={**state.document, "reports": list(self._reports)}, files=state.files)

    def resume(self, state: State) -> None:
        """Write evaluations and reports of an earlier process again."""
        super().resume(state)
        self._reports = list(state.document["reports"])
        self.write_json(REPORTS, self._reports)

    def evaluate(self, rounds_done: int, weights: Mapping[str, Tensor]) -> DigitEvaluation:
        """Evaluate the weights; keep them if they are the best on the validation images."""
        self._model.load_state_dict(dict(weights))
        metrics = evaluate_classifier(self._model, self._digits.test)
        validation = evaluate_classifier(self._model, self._digits.validation).accuracy
        evaluation = DigitEvaluation(
            round=rounds_done,
            accuracy=metrics.accuracy,
            validation_accuracy=validation,
            loss=metrics.loss,
            parameter_norm=parameter_norm(weights.values()),
            is_best=all(validation > earlier.validation_accuracy for earlier in self.evaluations),
        )
        self.record(evaluation)
        if evaluation.is_best:
            about = {name: str(value) for name, value in evaluation if name != "is_best"}
            tensors = {name: value.contiguous() for name, value in self._model.state_dict().items()}
            self.write(BEST_MODEL, save(tensors, metadata=about))
        return evaluation

    def report(self, rounds_done: int, site: str, learning_rate: float, report: TrainingReport) -> None:
        """Keep a site's report of its training in a round."""
        self._reports.append(
            {"round": rounds_done, "site": site, "learning_rate": learning_rate, **report.to_wire()}
        )
        self.write_json(REPORTS, self._reports)
