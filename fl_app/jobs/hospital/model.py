"""Data sets of the job `hospital`, each with its model: a small network that classifies tumours or digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fl_app.jobs.hospital.data import FEATURES, Cohort, divide
from fl_app.jobs.hospital.digits import divide_digits
from fl_app.jobs.shared.classifier import Classifier, DigitClassifier


class TumourClassifier(Classifier):
    """A classifier of malignant and benign tumours."""

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__(FEATURES, 2, hidden, seed)


class Dataset(NamedTuple):
    """A data set: how it is divided over a number of hospitals by a seed, and its model."""

    divide: Callable[[int, int], Cohort]
    model: type[TumourClassifier] | type[DigitClassifier]


DATASETS = {
    "breast_cancer": Dataset(divide, TumourClassifier),
    "digits": Dataset(divide_digits, DigitClassifier),
}
"""Data sets by the values of the parameter `dataset`."""
