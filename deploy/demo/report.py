"""The measurements of one demo run: report.json, from which the page and the terminal output are made."""

from __future__ import annotations

import shlex
from datetime import datetime
from math import sqrt
from typing import Any

from pydantic import BaseModel


class Result(BaseModel, frozen=True):
    """A model's results on the test patients."""

    accuracy: float
    """Share of correctly classified test patients, 0 to 1."""
    missed: int
    """Number of malignant tumours classified as benign."""
    false_alarms: int
    """Number of benign tumours classified as malignant."""


class HospitalReport(BaseModel, frozen=True):
    """One hospital: its patients, its result alone, and its accuracy in each round."""

    name: str
    patients: int
    malignant: int
    alone: Result
    """Result of a model trained only on its own patients, with the same number of passes."""
    global_accuracy: tuple[float, ...]
    """Accuracy of the global model at the start of each round: after 0, 1, 2... rounds."""
    own_accuracy: tuple[float, ...]
    """Accuracy of the hospital's own model at the end of each round, before aggregation."""

    @property
    def malignant_share(self) -> float:
        """Share of malignant tumours, 0 to 1."""
        return self.malignant / self.patients


class Step(BaseModel, frozen=True):
    """One step of the demo."""

    name: str
    what: str
    seconds: float


class Files(BaseModel, frozen=True):
    """Paths of the results, relative to `folder`."""

    folder: str
    model: str
    best_model: str | None
    tensorboard: str
    logs: str


class Report(BaseModel, frozen=True):
    """One run of the demo."""

    made_at: datetime
    project: str
    job_id: str
    server_address: str
    parameters: dict[str, Any]
    hospitals: tuple[HospitalReport, ...]
    test_patients: int
    test_malignant: int
    federated: Result
    """Result of the global model after the last round, as the server stored it."""
    central: Result
    """Result of a model trained on all patients together, with the same number of passes."""
    versions: dict[str, str]
    machine: str
    steps: tuple[Step, ...]
    files: Files
    command: str
    """The command that repeats this run."""

    @property
    def tensorboard_command(self) -> str:
        """The command that shows the event files."""
        return shlex.join(["tensorboard", "--logdir", f"{self.files.folder}/{self.files.tensorboard}"])

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return len(self.hospitals[0].own_accuracy)

    @property
    def mean_alone(self) -> float:
        """Mean accuracy of the models that the hospitals trained alone."""
        return sum(hospital.alone.accuracy for hospital in self.hospitals) / len(self.hospitals)

    @property
    def always_benign(self) -> float:
        """Baseline accuracy of classifying every tumour as benign."""
        return 1 - self.test_malignant / self.test_patients

    @property
    def global_accuracy(self) -> tuple[float, ...]:
        """Accuracy of the global model after 0, 1, 2... rounds; the last one is that of the stored model."""
        by_round = zip(*(hospital.global_accuracy for hospital in self.hospitals), strict=True)
        return (*(sum(values) / len(values) for values in by_round), self.federated.accuracy)

    @property
    def sites_agree(self) -> bool:
        """Return whether all hospitals measured the same accuracy for each global model, as expected."""
        return len({hospital.global_accuracy for hospital in self.hospitals}) == 1

    @property
    def seconds(self) -> float:
        """Duration of all steps."""
        return sum(step.seconds for step in self.steps)


def interval(accuracy: float, patients: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of an accuracy."""
    z = 1.96
    weight = 1 / (1 + z**2 / patients)
    centre = weight * (accuracy + z**2 / (2 * patients))
    half = weight * z * sqrt(accuracy * (1 - accuracy) / patients + z**2 / (4 * patients**2))
    return max(0.0, min(accuracy, centre - half)), min(1.0, max(accuracy, centre + half))


def difference(accuracy: float, other: float) -> str:
    """Compare two accuracies: `0.7 points below`, `21.3 points above`, `equal to`."""
    points = round(100 * (accuracy - other), 1)
    if points == 0:
        return "equal to"
    return f"{abs(points)} points {'above' if points > 0 else 'below'}"
