"""Training and evaluation of a small classifier: seeded, reproducible bit for bit on one thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fl_app.jobs.shared.examples import Examples
from fl_app.jobs.shared.proximal_term import anchor_of, proximal_term
from fl_app.jobs.shared.sklearn_datasets import DIGIT_CLASSES, DIGIT_PIXELS

MOMENTUM = 0.9


class Classifier(nn.Module):
    """A network with one hidden layer and one output per class.

    Args:
        features: number of inputs.
        classes: number of outputs.
        hidden: size of the hidden layer.
        seed: seed of the first weights. NVFlare rebuilds the model on the server from its arguments.
    """

    def __init__(self, features: int, classes: int, hidden: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores of the classes, one row per example."""
        return self.layers(features)


class DigitClassifier(Classifier):
    """A classifier of scikit-learn's handwritten digits."""

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__(DIGIT_PIXELS, DIGIT_CLASSES, hidden, seed)


@dataclass(frozen=True)
class ClassifierMetrics:
    """Quality of a classifier on some examples."""

    loss: float
    accuracy: float
    """Share of examples that are classified correctly, 0 to 1."""
    predictions: NDArray[np.int64]


def train_classifier(
    model: nn.Module,
    examples: Examples,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    mu: float = 0.0,
) -> list[float]:
    """Train the model in place by stochastic gradient descent.

    Args:
        seed: seed of the order of the examples; the same seed gives the same weights.
        mu: strength of FedProx's proximal term around the weights at the start; 0 for plain training.

    Returns:
        The mean loss of each epoch, without the proximal term.
    """
    inputs, targets = torch.from_numpy(examples.features), torch.from_numpy(examples.labels)
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=MOMENTUM)
    anchor = anchor_of(model)
    model.train()
    losses = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(targets), generator=order).split(batch_size):
            loss = functional.cross_entropy(model(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            (loss + proximal_term(model, anchor, mu) if mu else loss).backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(targets))
    return losses


def evaluate_classifier(model: nn.Module, examples: Examples) -> ClassifierMetrics:
    """Evaluate the model without changing it."""
    targets = torch.from_numpy(examples.labels)
    model.eval()
    with torch.no_grad():
        scores = model(torch.from_numpy(examples.features))
    predictions = scores.argmax(dim=1)
    return ClassifierMetrics(
        loss=functional.cross_entropy(scores, targets).item(),
        accuracy=(predictions == targets).double().mean().item(),
        predictions=predictions.numpy(),
    )
