"""Training and evaluation of a model on one site's images."""

from __future__ import annotations

import numpy as np
from torch import nn

from fl_app.jobs.fedadagrad.digits import Images
from fl_app.jobs.shared.classifier import ClassifierMetrics, evaluate_classifier, train_classifier


def train(
    model: nn.Module,
    images: Images,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: tuple[int, ...],
) -> list[float]:
    """Train the model in place, and return the mean loss of each epoch.

    Args:
        seed: seed of the order of the images; the same numbers give the same weights.
    """
    return train_classifier(
        model,
        images.pixels,
        images.labels,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=int(np.random.SeedSequence(seed).generate_state(1)[0]),
    )


def measure(model: nn.Module, images: Images) -> ClassifierMetrics:
    """Evaluate the model on images without changing it."""
    return evaluate_classifier(model, images.pixels, images.labels)
