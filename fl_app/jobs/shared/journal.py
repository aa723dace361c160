"""Files that the server's part of a job writes into the job's run folder, each atomically."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fl_app.files import write_atomically
from fl_app.survival.resumable import Resumable, State

MODEL_FOLDER = "best_model"
"""Folder, in the job's run folder, of a model that consists of several files."""
EVALUATIONS = "evaluation_history.json"


class Evaluation(BaseModel, frozen=True):
    """The global model on the server's examples. A job's subclass adds its own metrics."""

    round: int
    """Number of finished rounds; 0 for the untrained model."""
    loss: float
    parameter_norm: float
    """Euclidean norm of all parameters."""
    is_best: bool
    """Whether it is better than every earlier evaluation."""

    def scalars(self) -> dict[str, float]:
        """Return the metrics to log, by tag."""
        return self.model_dump(exclude={"round", "is_best"})


class Journal(Resumable):
    """Result files of a job.

    Args:
        folder: the job's run folder at the server; every file in it is part of the result.
    """

    evaluation: type[Evaluation] = Evaluation
    """Class of the evaluations."""
    best_model = MODEL_FOLDER
    """File or folder of the best model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evaluations: list[Any] = []

    def checkpoint(self) -> State:
        """Return the evaluations, and the files of the best model."""
        best = self.folder / self.best_model
        files = [file for file in (best, *best.rglob("*")) if file.is_file()]
        evaluations = [each.model_dump() for each in self.evaluations]
        return State(document={"evaluations": evaluations}, files=tuple(map(str, files)))

    def resume(self, state: State) -> None:
        """Write the evaluations of an earlier process again; further ones follow them."""
        self.evaluations = []
        for each in state.document["evaluations"]:
            self.record(self.evaluation(**each))

    def write(self, name: str, content: bytes) -> None:
        """Replace the file `name`."""
        write_atomically(self.folder / name, content)

    def write_json(self, name: str, content: Any) -> None:
        """Replace the file `name` by a JSON document."""
        self.write(name, (json.dumps(content, indent=2) + "\n").encode())

    def record(self, evaluation: Evaluation) -> None:
        """Add an evaluation to the history, and write both."""
        self.evaluations.append(evaluation)
        self.write_json(f"round_{evaluation.round}_server_eval.json", evaluation.model_dump())
        self.write_json(EVALUATIONS, [each.model_dump() for each in self.evaluations])


def parameter_norm(weights: Iterable[Any]) -> float:
    """Return the Euclidean norm of all tensors together."""
    return math.sqrt(sum(float(value.double().square().sum()) for value in weights))
