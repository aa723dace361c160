"""What is decided from round to round: who trains, how fast, and whether a site still learns."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def learning_rate(first: float, halve_every: int, rounds_done: int) -> float:
    """The sites' learning rate, halved every `halve_every` rounds."""
    return float(first * 0.5 ** (rounds_done // halve_every))


def sample_size(sites: int, fraction: float) -> int:
    """How many of `sites` train in a round: that fraction of them, rounded up, and at least one."""
    # 0.1 * 30 is a little more than 3 in floating point, and 4 would be too many.
    return min(sites, max(1, math.ceil(round(fraction * sites, 9))))


def sample(sites: Sequence[str], fraction: float, seed: int, round: int) -> list[str]:
    """The sites that train in a round, by name: the same everywhere, in whatever order they are given."""
    chosen = random.Random(f"{seed}/{round}").sample(sorted(sites), sample_size(len(sites), fraction))  # noqa: S311
    return sorted(chosen)


def has_plateaued(losses: Sequence[float], patience: int, tolerance: float) -> bool:
    """Whether training has converged: the best of the last `patience` losses is hardly better than the best
    before.

    Args:
        losses: one an epoch, from the first on.
        patience: how many epochs may bring nothing.
        tolerance: what counts as nothing, as a share of the best loss before.
    """
    if len(losses) <= patience:
        return False
    before, lately = min(losses[:-patience]), min(losses[-patience:])
    return before - lately <= tolerance * abs(before)
