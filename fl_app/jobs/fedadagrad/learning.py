"""What is done with a model: train it on a site's own images, and measure it. Seeded, on one thread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fl_app.jobs.fedadagrad.digits import Images

MOMENTUM = 0.9


@dataclass(frozen=True)
class Quality:
    """How good a model is on some images."""

    accuracy: float
    """Share of images read right, 0 to 1."""
    loss: float


def train(
    model: nn.Module,
    images: Images,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: tuple[int, ...],
) -> list[float]:
    """Train the model in place by stochastic gradient descent.

    Args:
        seed: of the order in which images are seen; the same numbers give the same weights.

    Returns:
        The mean loss of each epoch.
    """
    pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
    order = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=MOMENTUM)
    model.train()
    losses = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(labels), generator=order).split(batch_size):
            loss = functional.cross_entropy(model(pixels[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(labels))
    return losses


def measure(model: nn.Module, images: Images) -> Quality:
    """Measure the model on images, without changing it."""
    labels = torch.from_numpy(images.labels)
    model.eval()
    with torch.no_grad():
        scores = model(torch.from_numpy(images.pixels))
    return Quality(
        accuracy=(scores.argmax(dim=1) == labels).double().mean().item(),
        loss=functional.cross_entropy(scores, labels).item(),
    )


def norm(weights: Mapping[str, torch.Tensor]) -> float:
    """The Euclidean norm of all parameters together."""
    return math.sqrt(sum(float(value.double().square().sum()) for value in weights.values()))
