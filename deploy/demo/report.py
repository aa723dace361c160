"""What one run of the demo measured: report.json, from which the page and the printed report are made."""

from __future__ import annotations

from datetime import datetime
from math import sqrt
from typing import Any

from pydantic import BaseModel


class Result(BaseModel, frozen=True):
    """How a model did on the test patients."""

    accuracy: float
    """Share of the test patients told right, 0 to 1."""
    missed: int
    """Malignant tumours taken for benign."""
    false_alarms: int
    """Benign tumours taken for malignant."""


class HospitalReport(BaseModel, frozen=True):
    """One hospital: its patients, what it reaches alone, and what it measured in each round."""

    name: str
    patients: int
    malignant: int
    alone: Result
    """Of a model trained on its own patients only, as many passes as in the federation."""
    global_accuracy: tuple[float, ...]
    """Of the global model as it came at the start of each round: after 0, 1, 2... rounds."""
    own_accuracy: tuple[float, ...]
    """Of its own version of it at the end of each round, before the versions were averaged."""

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
    """Where things lie: names below `folder`."""

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
    """Of the global model after the last round, as the server stored it."""
    central: Result
    """Of a model trained on all patients in one place, as many passes as in the federation."""
    versions: dict[str, str]
    machine: str
    steps: tuple[Step, ...]
    files: Files
    command: str
    """What a reader types to have this report again."""

    @property
    def rounds(self) -> int:
        """How many rounds were trained."""
        return len(self.hospitals[0].own_accuracy)

    @property
    def mean_alone(self) -> float:
        """Mean accuracy of the hospitals' models, each trained alone."""
        return sum(hospital.alone.accuracy for hospital in self.hospitals) / len(self.hospitals)

    @property
    def always_benign(self) -> float:
        """Accuracy of telling every patient that the tumour is benign: what a model must beat."""
        return 1 - self.test_malignant / self.test_patients

    @property
    def global_accuracy(self) -> tuple[float, ...]:
        """Of the global model after 0, 1, 2... rounds; the last is measured on the stored model."""
        by_round = zip(*(hospital.global_accuracy for hospital in self.hospitals), strict=True)
        return (*(sum(values) / len(values) for values in by_round), self.federated.accuracy)

    @property
    def sites_agree(self) -> bool:
        """Whether every hospital measured the same accuracy of the same global model, as it must."""
        return len({hospital.global_accuracy for hospital in self.hospitals}) == 1

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(step.seconds for step in self.steps)


def interval(accuracy: float, patients: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy measured on so many patients."""
    z = 1.96
    weight = 1 / (1 + z**2 / patients)
    centre = weight * (accuracy + z**2 / (2 * patients))
    half = weight * z * sqrt(accuracy * (1 - accuracy) / patients + z**2 / (4 * patients**2))
    return max(0.0, min(accuracy, centre - half)), min(1.0, max(accuracy, centre + half))


def difference(accuracy: float, other: float) -> str:
    """How one accuracy compares with another: `0.7 points below`, `21.3 points above`, `equal to`."""
    points = round(100 * (accuracy - other), 1)
    if points == 0:
        return "equal to"
    return f"{abs(points)} points {'above' if points > 0 else 'below'}"
