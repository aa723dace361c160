"""A site of the job `hospital`: it trains on its own patients and logs its metrics."""

from __future__ import annotations

from fl_app.jobs.hospital.job import HospitalParameters
from fl_app.jobs.shared.example_site import ExampleSite, weights_of
from fl_app.jobs.training import LocalResult, Round, Site, Weights


class Hospital(ExampleSite):
    """One hospital."""

    def begin(self, site: Site) -> None:
        """Load the patients and build the model."""
        from fl_app.jobs.hospital.model import DATASETS

        super().begin(site)
        self._settings = HospitalParameters(**self.parameters)
        data, seed = DATASETS[self._settings.dataset], self._settings.seed
        cohort = data.divide(len(self.sites), seed)
        self._patients, self._test = cohort.hospitals[self._index], cohort.test
        self._model = data.model(self._settings.hidden, seed)

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Evaluate the global model, train it on this hospital's patients, and evaluate the result.

        Logged, on the test patients: `accuracy` and `loss` of the received global model, and
        `accuracy_after_training` of this hospital's model before it is averaged. On its own patients:
        `own_accuracy` of the received global model, and `train_loss`.
        """
        from fl_app.jobs.hospital.training import train
        from fl_app.jobs.shared.classifier import evaluate_classifier

        self._model.load_state_dict(weights)
        received = evaluate_classifier(self._model, self._test)
        own_accuracy = evaluate_classifier(self._model, self._patients).accuracy
        seed = (self._settings.seed, self._index, round.index)
        train_loss = train(self._model, self._patients, self._settings.training, seed)
        metrics = {
            "accuracy": received.accuracy,
            "loss": received.loss,
            "accuracy_after_training": evaluate_classifier(self._model, self._test).accuracy,
            "own_accuracy": own_accuracy,
            "train_loss": train_loss,
        }
        self.log_all(metrics, round.number)
        # The best model is chosen on the hospitals' own patients, never on the test patients.
        best_by = {"own_accuracy": own_accuracy}
        return LocalResult(weights_of(self._model), examples=len(self._patients), metrics=best_by)
