"""Images of the jobs `fedadagrad` and `flower-digits`: scikit-learn's digits, divided over the sites."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fl_app.jobs.shared.examples import Examples
from fl_app.jobs.shared.sklearn_datasets import load_digits

SERVER_SHARE = 0.2
"""Share of the images at the server, half for validation and half for tests; no site trains on them."""
MIN_IMAGES = 10
"""Smallest number of images of a site."""


@dataclass(frozen=True)
class Digits:
    """All images of the federation: 8 x 8 shades of grey, 0 to 1."""

    sites: tuple[Examples, ...]
    validation: Examples
    """Images that choose the best model."""
    test: Examples
    """Images that no choice depends on, so that the accuracy on them is unbiased."""


@lru_cache(maxsize=4)
def divide(sites: int, seed: int) -> Digits:
    """Divide the images at random into parts of equal size; the result depends on the arguments alone.

    Raises:
        ValueError: fewer than 2 sites, or so many that one would have fewer than MIN_IMAGES.
        ModuleNotFoundError: scikit-learn, which contains the images, is not installed.
    """
    shades, labels = load_digits()
    pixels = (shades / 16).astype(np.float32)
    rows = np.random.default_rng(seed).permutation(len(labels))
    held_out = math.ceil(SERVER_SHARE * len(rows))
    validation, test, kept = np.split(rows, [held_out // 2, held_out])
    most = len(kept) // MIN_IMAGES
    if not 2 <= sites <= most:
        raise ValueError(f"{sites} sites: the digits can be divided over 2 to {most}")
    parts = (validation, test, *np.array_split(kept, sites))
    chosen, reported, *own = (Examples(pixels[part], labels[part]) for part in parts)
    return Digits(tuple(own), chosen, reported)
