"""The patients of the job `hospital`: a public data set, divided so that hospitals see unlike patients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MALIGNANT, BENIGN = 0, 1
FEATURES = 30
TEST_SHARE = 0.25
"""Of all patients; no hospital trains on them, and every result is measured on them."""
FEWEST_PATIENTS = 5
"""A hospital with fewer is refused."""


@dataclass(frozen=True)
class Patients:
    """Patients (or images) of one hospital, or those kept apart for the test: one row each."""

    features: NDArray[np.float32]
    """Standardised over the patients of all hospitals."""
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def malignant(self) -> int:
        """How many of them have a malignant tumour."""
        return int(np.count_nonzero(self.labels == MALIGNANT))


@dataclass(frozen=True)
class Cohort:
    """All patients of the federation, divided over its hospitals."""

    hospitals: tuple[Patients, ...]
    test: Patients

    @property
    def pooled(self) -> Patients:
        """The patients of all hospitals in one place, as no real federation could have them."""
        return Patients(
            np.concatenate([patients.features for patients in self.hospitals]),
            np.concatenate([patients.labels for patients in self.hospitals]),
        )


def divide(hospitals: int, seed: int) -> Cohort:
    """Divide the data set; the same numbers give the same patients on every machine.

    A quarter of the patients is kept for the test. The others are put in order along their first principal
    component, by and large from small regular tumours to large irregular ones, and cut into parts of equal
    size: similar patients go to the same hospital.

    Raises:
        ValueError: fewer than 2 hospitals, or so many that one would have fewer than FEWEST_PATIENTS.
    """
    features, labels = _read()
    kept, test = _keep_for_test(labels, np.random.default_rng(seed))
    most = len(kept) // FEWEST_PATIENTS
    if not 2 <= hospitals <= most:
        raise ValueError(f"{hospitals} hospitals: the data set can be divided over 2 to {most}")
    in_order = kept[np.argsort(_first_component(features[kept]), kind="stable")]
    parts = np.array_split(in_order, hospitals)
    mean, deviation = pooled_moments([features[part] for part in parts])

    def patients(rows: NDArray[np.intp]) -> Patients:
        return Patients(((features[rows] - mean) / deviation).astype(np.float32), labels[rows])

    return Cohort(tuple(patients(part) for part in parts), patients(test))


@lru_cache(maxsize=1)
def _read() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What `sklearn.datasets.load_breast_cancer` reads, without the second that importing it takes."""
    table = np.loadtxt(packaged("breast_cancer.csv"), delimiter=",", skiprows=1)
    return table[:, :FEATURES], table[:, FEATURES].astype(np.int64)


def packaged(name: str) -> Path:
    """A data set that scikit-learn carries.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "scikit-learn carries the data set and is not installed: pip install scikit-learn"
        )
    return Path(package.origin).parent / "datasets" / "data" / name


def _keep_for_test(
    labels: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows to train on and the rows to test on, with the same share of malignant tumours in both."""
    kept, test = [], []
    for label in (MALIGNANT, BENIGN):
        rows = random.permutation(np.flatnonzero(labels == label))
        size = math.ceil(TEST_SHARE * len(rows))
        test.append(rows[:size])
        kept.append(rows[size:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(test))


def _first_component(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row's place along the first principal component, whose largest part is positive."""
    centred = features - features.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    # A singular vector is known but for its sign, which differs between linear algebra libraries.
    direction = direction * np.sign(direction[np.abs(direction).argmax()])
    return np.asarray(centred @ direction)


def pooled_moments(parts: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over all parts, from sums that hospitals could tell each other."""
    count = sum(len(part) for part in parts)
    mean = np.sum([part.sum(axis=0) for part in parts], axis=0) / count
    square = np.sum([(part**2).sum(axis=0) for part in parts], axis=0) / count
    return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))
