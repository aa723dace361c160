"""The other data set of the job `hospital`: handwritten digits; each site sees half of the classes."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fl_app.jobs.hospital.data import TEST_SHARE, Cohort, Patients, packaged, pooled_moments

PIXELS, CLASSES = 64, 10
CLASSES_A_SITE = 5
FEWEST_IMAGES = 5
"""A site with fewer is refused."""


def divide_digits(sites: int, seed: int) -> Cohort:
    """Divide the images; the same numbers give the same images on every machine.

    A quarter of each class is kept for the test. Each site has images of CLASSES_A_SITE neighbouring classes,
    shared equally with the other sites that have the class; together the sites have all.

    Raises:
        ValueError: fewer than 2 sites, or so many that one would have fewer than FEWEST_IMAGES.
    """
    pixels, labels = _read()
    most = len(labels) // (4 * FEWEST_IMAGES)
    if not 2 <= sites <= most:
        raise ValueError(f"{sites} sites: the digits can be divided over 2 to {most}")
    random = np.random.default_rng(seed)
    test: list[NDArray[np.intp]] = []
    parts: list[list[NDArray[np.intp]]] = [[] for _ in range(sites)]
    for label in range(CLASSES):
        rows = random.permutation(np.flatnonzero(labels == label))
        apart = math.ceil(TEST_SHARE * len(rows))
        test.append(rows[:apart])
        owners = [site for site in range(sites) if label in classes_of(site, sites)]
        for owner, share in zip(owners, np.array_split(rows[apart:], len(owners)), strict=True):
            parts[owner].append(share)
    rows_of = [np.sort(np.concatenate(part)) for part in parts]
    fewest = min(map(len, rows_of))
    if fewest < FEWEST_IMAGES:
        raise ValueError(f"{sites} sites: one of them would have {fewest} digits; at least {FEWEST_IMAGES}")
    mean, deviation = pooled_moments([pixels[rows] for rows in rows_of])
    deviation = np.where(deviation > 1e-3, deviation, 1.0)  # a pixel that is always white tells nothing

    def images(rows: NDArray[np.intp]) -> Patients:
        return Patients(((pixels[rows] - mean) / deviation).astype(np.float32), labels[rows])

    return Cohort(tuple(images(rows) for rows in rows_of), images(np.sort(np.concatenate(test))))


def classes_of(site: int, sites: int) -> set[int]:
    """Which classes a site has, by its place among so many."""
    first = site * CLASSES // sites
    return {(first + step) % CLASSES for step in range(CLASSES_A_SITE)}


@lru_cache(maxsize=1)
def _read() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What `sklearn.datasets.load_digits` reads, without the second that importing it takes."""
    table = np.loadtxt(packaged("digits.csv.gz"), delimiter=",")
    return table[:, :PIXELS], table[:, PIXELS].astype(np.int64)
