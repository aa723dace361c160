"""The models of the job `hospital`: small networks, for tumours and for digits."""

from __future__ import annotations

import torch
from torch import nn

from fl_app.jobs.hospital.data import FEATURES
from fl_app.jobs.hospital.digits import CLASSES, PIXELS


class Classifier(nn.Module):
    """One hidden layer; one output a class.

    Args:
        features: numbers in.
        classes: scores out.
        hidden: size of the hidden layer.
        seed: of the first weights. NVFlare builds the model anew where the job runs, from its arguments.
    """

    def __init__(self, features: int, classes: int, hidden: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scores of the classes, one row a patient."""
        return self.layers(features)


class TumourClassifier(Classifier):
    """Tells malignant from benign tumours.

    Args:
        hidden: size of the hidden layer.
        seed: of the first weights.
    """

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__(FEATURES, 2, hidden, seed)


class DigitClassifier(Classifier):
    """Tells handwritten digits.

    Args:
        hidden: size of the hidden layer.
        seed: of the first weights.
    """

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__(PIXELS, CLASSES, hidden, seed)


MODELS: dict[str, type[TumourClassifier] | type[DigitClassifier]] = {
    "breast_cancer": TumourClassifier,
    "digits": DigitClassifier,
}
"""Which data set is told by which."""
