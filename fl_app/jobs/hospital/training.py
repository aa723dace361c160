"""Training and evaluation of a model on one hospital's patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from fl_app.jobs.hospital.data import BENIGN, MALIGNANT, Patients
from fl_app.jobs.shared.classifier import ClassifierMetrics, evaluate_classifier, train_classifier


@dataclass(frozen=True)
class Training:
    """Settings of a training, the same for every hospital and for the demo's comparisons."""

    epochs: int
    learning_rate: float
    batch_size: int
    mu: float = 0.0
    """Strength of FedProx's proximal term; 0 for plain training, bit for bit."""


@dataclass(frozen=True)
class TumourMetrics(ClassifierMetrics):
    """Quality of a tumour classifier on some patients."""

    missed: int
    """Number of malignant tumours that are classified as benign."""
    false_alarms: int
    """Number of benign tumours that are classified as malignant."""


def train(model: nn.Module, patients: Patients, training: Training, seed: tuple[int, ...]) -> float:
    """Train the model in place, and return the mean loss of the last epoch without the proximal term.

    Args:
        seed: seed of the order of the patients; the same numbers give the same weights.
    """
    mixed = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1)
    return train_classifier(model, patients, seed=int(mixed), **vars(training))[-1]


def measure(model: nn.Module, patients: Patients) -> TumourMetrics:
    """Evaluate the model on patients without changing it."""
    metrics = evaluate_classifier(model, patients)
    predicted, labels = metrics.predictions, patients.labels
    return TumourMetrics(
        **vars(metrics),
        missed=int(((predicted == BENIGN) & (labels == MALIGNANT)).sum()),
        false_alarms=int(((predicted == MALIGNANT) & (labels == BENIGN)).sum()),
    )
