"""Models of the job `hospital`: small networks that classify tumours or digits."""

from __future__ import annotations

from fl_app.jobs.hospital.data import FEATURES
from fl_app.jobs.shared.classifier import Classifier, DigitClassifier


class TumourClassifier(Classifier):
    """A classifier of malignant and benign tumours."""

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__(FEATURES, 2, hidden, seed)


MODELS: dict[str, type[TumourClassifier] | type[DigitClassifier]] = {
    "breast_cancer": TumourClassifier,
    "digits": DigitClassifier,
}
"""Models by the values of the parameter `dataset`."""
