"""Patients of the job `hospital`: a public data set, divided so that the hospitals' patients differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fl_app.jobs.shared.examples import Examples
from fl_app.jobs.shared.sklearn_datasets import Features, Labels, load_breast_cancer

Rows: TypeAlias = NDArray[np.intp]

MALIGNANT, BENIGN = 0, 1
FEATURES = 30
TEST_SHARE = 0.25
"""Share of the patients in the test set: no hospital trains on them."""
MIN_PATIENTS = 5
"""Smallest number of patients of a hospital."""


@dataclass(frozen=True)
class Patients(Examples):
    """Patients (or images), with features that are standardised over the patients of all hospitals."""

    @property
    def malignant(self) -> int:
        """Number of patients with a malignant tumour."""
        return int(np.count_nonzero(self.labels == MALIGNANT))


@dataclass(frozen=True)
class Cohort:
    """All patients of the federation, by hospital."""

    hospitals: tuple[Patients, ...]
    test: Patients

    @property
    def pooled(self) -> Patients:
        """All hospitals' patients together, which a real federation never has in one place."""
        return Patients(
            np.concatenate([patients.features for patients in self.hospitals]),
            np.concatenate([patients.labels for patients in self.hospitals]),
        )


def divide(hospitals: int, seed: int) -> Cohort:
    """Divide the data set over hospitals; the result depends on the arguments alone.

    A quarter of the patients is the test set. The others are sorted along their first principal component,
    roughly from small regular tumours to large irregular ones, and split into parts of equal size, so that a
    hospital has similar patients.

    Raises:
        ValueError: fewer than 2 hospitals, or so many that one would have fewer than MIN_PATIENTS.
    """
    features, labels = load_breast_cancer()
    kept_by_class, test = split_off_test_set(labels, seed)
    kept = np.sort(np.concatenate(kept_by_class))
    most = len(kept) // MIN_PATIENTS
    if not 2 <= hospitals <= most:
        raise ValueError(f"{hospitals} hospitals: the data set can be divided over 2 to {most}")
    in_order = kept[np.argsort(_first_component(features[kept]), kind="stable")]
    return standardised(features, labels, np.array_split(in_order, hospitals), test)


def split_off_test_set(labels: Labels, seed: int) -> tuple[list[Rows], Rows]:
    """Return the training rows of each class in random order, and the test rows: the same share of each."""
    random = np.random.default_rng(seed)
    kept, test = [], []
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        size = math.ceil(TEST_SHARE * len(rows))
        test.append(rows[:size])
        kept.append(rows[size:])
    return kept, np.sort(np.concatenate(test))


def standardised(features: Features, labels: Labels, parts: Sequence[Rows], test: Rows) -> Cohort:
    """Standardise the features over all parts, by sums that hospitals could exchange."""
    count = sum(len(part) for part in parts)
    mean = np.sum([features[part].sum(axis=0) for part in parts], axis=0) / count
    square = np.sum([(features[part] ** 2).sum(axis=0) for part in parts], axis=0) / count
    deviation = np.sqrt(np.maximum(square - mean**2, 1e-12))
    deviation = np.where(deviation > 1e-3, deviation, 1.0)  # a pixel that is always white carries no signal

    def patients(rows: Rows) -> Patients:
        return Patients(((features[rows] - mean) / deviation).astype(np.float32), labels[rows])

    return Cohort(tuple(patients(part) for part in parts), patients(test))


def _first_component(features: Features) -> Features:
    """Return each row's coordinate along the first principal component."""
    centred = features - features.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    # Linear algebra libraries differ in the sign of a singular vector: make its largest entry positive.
    direction = direction * np.sign(direction[np.abs(direction).argmax()])
    return np.asarray(centred @ direction)
