"""What a hospital does with a model: train it on its own patients, and measure it. Seeded, on one thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fl_app.jobs.hospital.data import BENIGN, MALIGNANT, Patients

MOMENTUM = 0.9


@dataclass(frozen=True)
class Training:
    """How one training goes; the same for every hospital and for the comparisons."""

    epochs: int
    learning_rate: float
    batch_size: int
    mu: float = 0.0
    """Of FedProx: how strongly training is held near the model it began with; 0 is plain training, bit for
    bit."""


@dataclass(frozen=True)
class Quality:
    """How good a model is on some patients."""

    loss: float
    accuracy: float
    """Share of patients told right, 0 to 1."""
    missed: int
    """Malignant tumours taken for benign."""
    false_alarms: int
    """Benign tumours taken for malignant."""


def train(model: nn.Module, patients: Patients, training: Training, seed: tuple[int, ...]) -> float:
    """Train the model in place by stochastic gradient descent.

    With `training.mu` the term mu/2 * ||w - w_global||^2 is part of the loss that backward sees, w_global
    being the model's weights as they are now: from the second step on it pulls back to them.

    Args:
        seed: of the order in which patients are seen; the same numbers give the same weights.

    Returns:
        The mean loss over the last epoch, without that term.
    """
    features, labels = torch.from_numpy(patients.features), torch.from_numpy(patients.labels)
    order = torch.Generator().manual_seed(_mixed(seed))
    optimizer = torch.optim.SGD(model.parameters(), lr=training.learning_rate, momentum=MOMENTUM)
    anchor = [weight.detach().clone() for weight in model.parameters()]
    model.train()
    total = 0.0
    for _ in range(training.epochs):
        total = 0.0
        for rows in torch.randperm(len(labels), generator=order).split(training.batch_size):
            loss = functional.cross_entropy(model(features[rows]), labels[rows])
            optimizer.zero_grad()
            (loss + proximal_term(model, anchor, training.mu) if training.mu else loss).backward()
            optimizer.step()
            total += loss.item() * len(rows)
    return total / len(labels)


def proximal_term(model: nn.Module, anchor: list[torch.Tensor], mu: float) -> torch.Tensor:
    """mu/2 times the squared distance of the model's weights from the anchor."""
    squares = [
        (weight - held).square().sum() for weight, held in zip(model.parameters(), anchor, strict=True)
    ]
    return mu / 2 * torch.stack(squares).sum()


def measure(model: nn.Module, patients: Patients) -> Quality:
    """Measure the model on patients, without changing it."""
    labels = torch.from_numpy(patients.labels)
    model.eval()
    with torch.no_grad():
        scores = model(torch.from_numpy(patients.features))
    told = scores.argmax(dim=1)
    return Quality(
        loss=functional.cross_entropy(scores, labels).item(),
        accuracy=(told == labels).double().mean().item(),
        missed=int(((told == BENIGN) & (labels == MALIGNANT)).sum()),
        false_alarms=int(((told == MALIGNANT) & (labels == BENIGN)).sum()),
    )


def _mixed(numbers: tuple[int, ...]) -> int:
    """One seed from several numbers, so that neighbours get unlike orders."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
