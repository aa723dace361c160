"""What a site does in the job `fedadagrad`: train on its own images, and report how it went."""

from __future__ import annotations

import time

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights

LEARNING_RATE = "learning_rate"
"""Under which the server's metadata carries the learning rate of a round."""


class DigitSite(SiteTraining):
    """One site.

    Args:
        sites: the names of all sites, in the order in which the images are divided over them.
        seed: of the division, of the model's first weights and of the order in which images are seen.
        hidden: size of the model's hidden layer.
        local_epochs: passes over its own images in each round.
        batch_size: images a step.
        patience: epochs without progress after which it says that it has converged.
        tolerance: what counts as no progress, as a share of the best loss before.
    """

    def __init__(
        self,
        *,
        sites: list[str],
        seed: int,
        hidden: int,
        local_epochs: int,
        batch_size: int,
        patience: int,
        tolerance: float,
    ) -> None:
        super().__init__()
        self.sites = sites
        self.seed = seed
        self.hidden = hidden
        self.local_epochs = local_epochs
        self.batch_size = batch_size
        self.patience = patience
        self.tolerance = tolerance

    def begin(self, site: Site) -> None:
        """Load the images and build the model."""
        import torch

        from fl_app.jobs.fedadagrad.digits import divide
        from fl_app.jobs.fedadagrad.model import DigitReader

        torch.set_num_threads(1)  # small steps gain nothing from more, and sites may share this machine
        if site.name not in self.sites:
            raise ValueError(f"{site.name} is not among the job's sites: {', '.join(self.sites)}")
        self._index = self.sites.index(site.name)
        self._images = divide(len(self.sites), self.seed).sites[self._index]
        self._model = DigitReader(self.hidden, self.seed)
        self._losses: list[float] = []

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Train on this site's images, with the learning rate that the server says.

        Logged, by round: `train_loss`, `train_seconds`, `converged` (0 or 1), `learning_rate`, and
        `own_accuracy` of the global model as it came, on this site's images.
        """
        from fl_app.jobs.fedadagrad.learning import measure, train
        from fl_app.jobs.fedadagrad.metadata import REPORT, TrainingReport
        from fl_app.jobs.fedadagrad.schedule import has_plateaued

        learning_rate = float(round.meta[LEARNING_RATE])
        self._model.load_state_dict(weights)
        own_accuracy = measure(self._model, self._images).accuracy
        began = time.perf_counter()
        losses = train(
            self._model,
            self._images,
            epochs=self.local_epochs,
            learning_rate=learning_rate,
            batch_size=self.batch_size,
            seed=(self.seed, self._index, round.number),
        )
        self._losses += losses
        report = TrainingReport(
            seconds=time.perf_counter() - began,
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
