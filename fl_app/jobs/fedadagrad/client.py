"""A site of the job `fedadagrad`: it trains on its own images and reports on its training."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights

LEARNING_RATE = "learning_rate"
"""Key of the round's learning rate in the metadata that the server sends."""


@dataclass(eq=False, kw_only=True)
class DigitSite(SiteTraining):
    """One site; see `DigitParameters` for all arguments but `sites`."""

    sites: list[str]
    """Names of all sites; the position of a name decides which images are its own."""
    seed: int
    hidden: int
    local_epochs: int
    batch_size: int
    patience: int
    tolerance: float

    def begin(self, site: Site) -> None:
        """Load the images and build the model."""
        import torch

        from fl_app.jobs.fedadagrad.digits import divide
        from fl_app.jobs.shared.classifier import DigitClassifier

        torch.set_num_threads(1)  # small steps gain nothing from more threads, and sites may share a machine
        self._index = site.position_among(self.sites)
        self._images = divide(len(self.sites), self.seed).sites[self._index]
        self._model = DigitClassifier(self.hidden, self.seed)
        self._losses: list[float] = []

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Train on this site's images, with the learning rate that the server sends.

        Logged by round: `train_loss`, `train_seconds`, `converged` (0 or 1), `learning_rate`, and
        `own_accuracy`, the accuracy of the received global model on this site's images.
        """
        from fl_app.jobs.fedadagrad.metadata import REPORT, TrainingReport
        from fl_app.jobs.fedadagrad.schedule import has_plateaued
        from fl_app.jobs.shared.classifier import evaluate_classifier, train_classifier
        from fl_app.jobs.shared.examples import mixed_seed

        learning_rate = float(round.meta[LEARNING_RATE])
        self._model.load_state_dict(weights)
        own_accuracy = evaluate_classifier(self._model, self._images).accuracy
        started = time.perf_counter()
        losses = train_classifier(
            self._model,
            self._images,
            epochs=self.local_epochs,
            learning_rate=learning_rate,
            batch_size=self.batch_size,
            seed=mixed_seed(self.seed, self._index, round.number),
        )
        self._losses += losses
        report = TrainingReport(
            seconds=time.perf_counter() - started,
            losses=tuple(losses),
            converged=has_plateaued(self._losses, self.patience, self.tolerance),
            examples=len(self._images),
        )
        for tag, value in (
            ("train_loss", losses[-1]),
            ("train_seconds", report.seconds),
            ("converged", float(report.converged)),
            (LEARNING_RATE, learning_rate),
            ("own_accuracy", own_accuracy),
        ):
            self.log(tag, value, step=round.number)
        return LocalResult(
            {name: value.detach().clone() for name, value in self._model.state_dict().items()},
            examples=len(self._images),
            metrics={"own_accuracy": own_accuracy},
            meta={REPORT: report.to_wire()},
        )
