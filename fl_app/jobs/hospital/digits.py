"""Handwritten digits as the data set of the job `hospital`: each site has half of the classes."""

from __future__ import annotations

import numpy as np

from fl_app.jobs.hospital.data import Cohort, Rows, split_off_test_set, standardised
from fl_app.jobs.shared.sklearn_datasets import DIGIT_CLASSES, load_digits

CLASSES_PER_SITE = 5
MIN_IMAGES = 5
"""Smallest number of images of a site."""


def divide_digits(sites: int, seed: int) -> Cohort:
    """Divide the images over sites; the result depends on the arguments alone.

    A quarter of each class is the test set. Each site has images of CLASSES_PER_SITE neighbouring classes.
    The sites that have a class share its images equally. Together the sites have all classes.

    Raises:
        ValueError: fewer than 2 sites, or so many that one would have fewer than MIN_IMAGES.
    """
    pixels, labels = load_digits()
    most = len(labels) // (4 * MIN_IMAGES)
    if not 2 <= sites <= most:
        raise ValueError(f"{sites} sites: the digits can be divided over 2 to {most}")
    kept_by_class, test = split_off_test_set(labels, seed)
    parts: list[list[Rows]] = [[] for _ in range(sites)]
    for label, rows in enumerate(kept_by_class):
        owners = [site for site in range(sites) if label in classes_of(site, sites)]
        for owner, share in zip(owners, np.array_split(rows, len(owners)), strict=True):
            parts[owner].append(share)
    rows_of = [np.sort(np.concatenate(part)) for part in parts]
    fewest = min(map(len, rows_of))
    if fewest < MIN_IMAGES:
        raise ValueError(f"{sites} sites: one would have {fewest} digits; the minimum is {MIN_IMAGES}")
    return standardised(pixels, labels, rows_of, test)


def classes_of(site: int, sites: int) -> set[int]:
    """Return the classes of a site, by its position among the sites."""
    first = site * DIGIT_CLASSES // sites
    return {(first + step) % DIGIT_CLASSES for step in range(CLASSES_PER_SITE)}
