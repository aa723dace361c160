"""Data sets in scikit-learn's package, read without importing scikit-learn, which takes a second."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

DIGIT_PIXELS, DIGIT_CLASSES = 64, 10

Features: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]


@lru_cache(maxsize=1)
def load_digits() -> tuple[Features, Labels]:
    """Read what `sklearn.datasets.load_digits` returns: 1797 images of 8 x 8 pixels, each from 0 to 16.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    return _read("digits.csv.gz")


@lru_cache(maxsize=1)
def load_breast_cancer() -> tuple[Features, Labels]:
    """Read what `sklearn.datasets.load_breast_cancer` returns: 569 patients, 30 features each.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    return _read("breast_cancer.csv", header_lines=1)


def _read(name: str, header_lines: int = 0) -> tuple[Features, Labels]:
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "the data set is part of scikit-learn, which is missing: pip install scikit-learn"
        )
    file = Path(package.origin).parent / "datasets" / "data" / name
    table = np.loadtxt(file, delimiter=",", skiprows=header_lines)
    return table[:, :-1], table[:, -1].astype(np.int64)
