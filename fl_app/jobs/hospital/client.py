"""What a hospital does in the job `hospital`: train on its own patients, and say how it went."""

from __future__ import annotations

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights


class Hospital(SiteTraining):
    """One hospital.

    Args:
        hospitals: the names of all hospitals, in the order in which the patients are divided over them.
        seed: of the division, of the model's first weights and of the order in which patients are seen.
        hidden: size of the model's hidden layer.
        local_epochs: passes over its own patients in each round.
        learning_rate: of stochastic gradient descent.
        batch_size: patients a step.
        dataset: which data set, see `datasets.DIVISIONS`.
        mu: of FedProx; 0 for none.
    """

    def __init__(
        self,
        *,
        hospitals: list[str],
        seed: int,
        hidden: int,
        local_epochs: int,
        learning_rate: float,
        batch_size: int,
        dataset: str = "breast_cancer",
        mu: float = 0.0,
    ) -> None:
        super().__init__()
        self.hospitals = hospitals
        self.seed = seed
        self.hidden = hidden
        self.local_epochs = local_epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.dataset = dataset
        self.mu = mu

    def begin(self, site: Site) -> None:
        """Load the patients and build the model."""
        import torch

        from fl_app.jobs.hospital.datasets import DIVISIONS
        from fl_app.jobs.hospital.model import MODELS
        from fl_app.jobs.hospital.training import Training

        torch.set_num_threads(
            1
        )  # small steps gain nothing from more, and several sites may share this machine
        if site.name not in self.hospitals:
            raise ValueError(f"{site.name} is not among the job's hospitals: {', '.join(self.hospitals)}")
        self._index = self.hospitals.index(site.name)
        cohort = DIVISIONS[self.dataset](len(self.hospitals), self.seed)
        self._patients, self._test = cohort.hospitals[self._index], cohort.test
        self._model = MODELS[self.dataset](self.hidden, self.seed)
        self._training = Training(self.local_epochs, self.learning_rate, self.batch_size, self.mu)

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Measure the global model, train it on this hospital's patients, and measure again.

        Logged, on the test patients: `accuracy` and `loss` of the global model as it was received, after
        `round.number` rounds, and `accuracy_after_training` of this hospital's own version of it, before it
        is averaged. On its own patients: `own_accuracy` of the global model, and `train_loss`.
        """
        from fl_app.jobs.hospital.training import measure, train

        self._model.load_state_dict(weights)
        received = measure(self._model, self._test)
        received_here = measure(self._model, self._patients)
        order = (self.seed, self._index, round.number)
        train_loss = train(self._model, self._patients, self._training, order)
        trained = measure(self._model, self._test)

        self.log("accuracy", received.accuracy, step=round.number)
        self.log("loss", received.loss, step=round.number)
        self.log("accuracy_after_training", trained.accuracy, step=round.number)
        self.log("own_accuracy", received_here.accuracy, step=round.number)
        self.log("train_loss", train_loss, step=round.number)
        return LocalResult(
            {name: value.detach().clone() for name, value in self._model.state_dict().items()},
            examples=len(self._patients),
            # The test patients choose nothing: the best model is the best on the hospitals' own patients.
            metrics={"own_accuracy": received_here.accuracy},
        )
