"""A site of the job `fedadagrad`: it trains on its own images and reports on its training."""

from __future__ import annotations

from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.shared.example_site import ExampleSite, weights_of
from fl_app.jobs.training import LocalResult, Round, Site, Weights

LEARNING_RATE = "learning_rate"
"""Key of the round's learning rate in the metadata that the server sends."""


class DigitSite(ExampleSite):
    """One site."""

    def begin(self, site: Site) -> None:
        """Load the images and build the model."""
        from fl_app.jobs.fedadagrad.digits import divide
        from fl_app.jobs.shared.classifier import DigitClassifier

        super().begin(site)
        self._settings = DigitParameters(**self.parameters)
        self._images = divide(len(self.sites), self._settings.seed).sites[self._index]
        self._model = DigitClassifier(self._settings.hidden, self._settings.seed)
        self._losses: dict[int, tuple[float, ...]] = {}

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
            self._settings,
            learning_rate=float(round.meta[LEARNING_RATE]),
            seed=mixed_seed(self._settings.seed, self._index, round.index),
            earlier_losses=[loss for index in range(round.index) for loss in self._losses.get(index, ())],
        )
        self._losses[round.index] = report.losses  # a round is trained again if its result is lost
        self.log_all(metrics, round.number)
        return LocalResult(
            weights_of(self._model),
            examples=report.examples,
            metrics={"own_accuracy": metrics["own_accuracy"]},
            meta={REPORT: report.to_wire()},
        )
