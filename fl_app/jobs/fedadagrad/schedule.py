"""Decisions that change from round to round: sampled sites, learning rate, convergence."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def learning_rate(first: float, halve_every: int, rounds_done: int) -> float:
    """Return the sites' learning rate, which halves every `halve_every` rounds."""
    return float(first * 0.5 ** (rounds_done // halve_every))


def sample_size(sites: int, fraction: float) -> int:
    """Return the number of sites that train in a round: the fraction, rounded up, at least one."""
    # In floating point 0.1 * 30 is slightly more than 3, which would round up to 4.
    return min(sites, max(1, math.ceil(round(fraction * sites, 9))))


def sample(sites: Sequence[str], fraction: float, seed: int, round: int) -> list[str]:
    """Draw the sites that train in a round; the order of `sites` does not matter."""
    chosen = random.Random(f"{seed}/{round}").sample(sorted(sites), sample_size(len(sites), fraction))  # noqa: S311
    return sorted(chosen)


def has_plateaued(losses: Sequence[float], patience: int, tolerance: float) -> bool:
    """Return whether the last `patience` epochs brought no progress.

    Args:
        losses: the loss of every epoch.
        patience: number of epochs that may bring no progress.
        tolerance: smallest relative decrease of the best loss that is progress.
    """
    if len(losses) <= patience:
        return False
    before, recent = min(losses[:-patience]), min(losses[-patience:])
    return before - recent <= tolerance * abs(before)
