"""The images of the jobs `fedadagrad` and `flower-digits`: scikit-learn's digits, divided over the sites."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PIXELS, CLASSES = 64, 10
TEST_SHARE = 0.2
"""Of all images; no site trains on them, and the server measures every model on them."""
FEWEST_IMAGES = 10
"""A site with fewer is refused."""


@dataclass(frozen=True)
class Images:
    """Images of one site, or those kept apart for the test: one row each."""

    pixels: NDArray[np.float32]
    """8 x 8 shades of grey in one row, 0 to 1."""
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Digits:
    """All images of the federation, divided over its sites."""

    sites: tuple[Images, ...]
    test: Images


@lru_cache(maxsize=4)
def divide(sites: int, seed: int) -> Digits:
    """Divide the images at random into parts of equal size; the same numbers give the same parts everywhere.

    Raises:
        ValueError: fewer than 2 sites, or so many that one would have fewer than FEWEST_IMAGES.
        ModuleNotFoundError: scikit-learn, which carries the images, is not installed.
    """
    pixels, labels = _read()
    rows = np.random.default_rng(seed).permutation(len(labels))
    test, kept = np.split(rows, [math.ceil(TEST_SHARE * len(rows))])
    most = len(kept) // FEWEST_IMAGES
    if not 2 <= sites <= most:
        raise ValueError(f"{sites} sites: the digits can be divided over 2 to {most}")
    parts = [Images(pixels[part], labels[part]) for part in np.array_split(kept, sites)]
    return Digits(tuple(parts), Images(pixels[test], labels[test]))


@lru_cache(maxsize=1)
def _read() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What `sklearn.datasets.load_digits` reads, without the second that importing it takes."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "scikit-learn carries the data set and is not installed: pip install scikit-learn"
        )
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    return (table[:, :PIXELS] / 16).astype(np.float32), table[:, PIXELS].astype(np.int64)
