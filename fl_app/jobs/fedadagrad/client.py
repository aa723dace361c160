"""A site of the job `fedadagrad`: it trains on its own images and reports on its training."""

from __future__ import annotations

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
        from fl_app.jobs.fedadagrad.local_training import train_locally
        from fl_app.jobs.fedadagrad.metadata import REPORT
        from fl_app.jobs.shared.examples import mixed_seed

        self._model.load_state_dict(weights)
        report, metrics = train_locally(
            self._model,
            self._images,
            self,
            learning_rate=float(round.meta[LEARNING_RATE]),
            seed=mixed_seed(self.seed, self._index, round.index),
            earlier_losses=self._losses,
        )
        self._losses += report.losses
        for tag, value in metrics.items():
            self.log(tag, value, step=round.number)
        return LocalResult(
            {name: value.detach().clone() for name, value in self._model.state_dict().items()},
            examples=report.examples,
            metrics={"own_accuracy": metrics["own_accuracy"]},
            meta={REPORT: report.to_wire()},
        )
