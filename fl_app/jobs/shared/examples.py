"""Labelled examples of a classifier, and seeds that are derived from several numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Examples:
    """Examples of one site or of the test set, one per row."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def mixed_seed(*numbers: int) -> int:
    """Return a seed that depends on all numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
