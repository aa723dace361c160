"""A site of the job `hospital`: it trains on its own patients and logs its metrics."""

from __future__ import annotations

from dataclasses import dataclass

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights


@dataclass(eq=False, kw_only=True)
class Hospital(SiteTraining):
    """One hospital."""

    hospitals: list[str]
    """Names of all hospitals; the position of a name decides which patients are its own."""
    seed: int
    """Seed of the division of patients, of the first weights and of the training order."""
    hidden: int
    local_epochs: int
    learning_rate: float
    batch_size: int
    dataset: str = "breast_cancer"
    """A key of `datasets.DIVISIONS`."""
    mu: float = 0.0
    """Strength of FedProx's proximal term; 0 for none."""

    def begin(self, site: Site) -> None:
        """Load the patients and build the model."""
        import torch

        from fl_app.jobs.hospital.datasets import DIVISIONS
        from fl_app.jobs.hospital.model import MODELS
        from fl_app.jobs.hospital.training import Training

        torch.set_num_threads(1)  # small steps gain nothing from more threads, and sites may share a machine
        self._index = site.position_among(self.hospitals)
        cohort = DIVISIONS[self.dataset](len(self.hospitals), self.seed)
        self._patients, self._test = cohort.hospitals[self._index], cohort.test
        self._model = MODELS[self.dataset](self.hidden, self.seed)
        self._training = Training(self.local_epochs, self.learning_rate, self.batch_size, self.mu)

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Evaluate the global model, train it on this hospital's patients, and evaluate the result.

        Logged, on the test patients: `accuracy` and `loss` of the received global model, and
        `accuracy_after_training` of this hospital's model before it is averaged. On its own patients:
        `own_accuracy` of the received global model, and `train_loss`.
        """
        from fl_app.jobs.hospital.training import measure, train

        self._model.load_state_dict(weights)
        received = measure(self._model, self._test)
        own = measure(self._model, self._patients)
        train_loss = train(
            self._model, self._patients, self._training, seed=(self.seed, self._index, round.index)
        )
        for tag, value in (
            ("accuracy", received.accuracy),
            ("loss", received.loss),
            ("accuracy_after_training", measure(self._model, self._test).accuracy),
            ("own_accuracy", own.accuracy),
            ("train_loss", train_loss),
        ):
            self.log(tag, value, step=round.number)
        return LocalResult(
            {name: value.detach().clone() for name, value in self._model.state_dict().items()},
            examples=len(self._patients),
            # The best model is chosen on the hospitals' own patients, never on the test patients.
            metrics={"own_accuracy": own.accuracy},
        )
