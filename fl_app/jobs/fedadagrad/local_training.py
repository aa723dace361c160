"""The training of one site in one round of the jobs `fedadagrad` and `flower-digits`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from fl_app.jobs.fedadagrad.metadata import TrainingReport
from fl_app.jobs.fedadagrad.schedule import has_plateaued
from fl_app.jobs.shared.classifier import evaluate_classifier, train_classifier
from fl_app.jobs.shared.examples import Examples

if TYPE_CHECKING:
    from fl_app.jobs.fedadagrad.job import DigitParameters


def train_locally(
    model: nn.Module,
    images: Examples,
    settings: DigitParameters,
    *,
    learning_rate: float,
    seed: int,
    earlier_losses: Sequence[float],
) -> tuple[TrainingReport, dict[str, float]]:
    """Train the model in place; return the site's report, and the values to log by tag."""
    own_accuracy = evaluate_classifier(model, images).accuracy
    started = time.perf_counter()
    losses = train_classifier(
        model,
        images,
        epochs=settings.local_epochs,
        learning_rate=learning_rate,
        batch_size=settings.batch_size,
        seed=seed,
    )
    report = TrainingReport(
        seconds=time.perf_counter() - started,
        losses=tuple(losses),
        converged=has_plateaued([*earlier_losses, *losses], settings.patience, settings.tolerance),
        examples=len(images),
    )
    return report, {
        "train_loss": losses[-1],
        "train_seconds": report.seconds,
        "converged": float(report.converged),
        "learning_rate": learning_rate,
        "own_accuracy": own_accuracy,
    }
