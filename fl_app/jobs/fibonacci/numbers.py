"""The numbers of the job `fibonacci`: exact at any size, and how they travel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

HIGHEST_LEVEL = 20_000
"""Its sum has 4,180 digits; Python writes integers of up to 4,300 as text."""
WIDEST_ROW = 12
"""Numbers in the last row of a pyramid that is drawn; a longer one would not fit a line."""

_INT64 = range(-(2**63), 2**63)
_MOST_DIGITS = 4300


def sequence(level: int) -> list[int]:
    """The first `level` Fibonacci numbers, from 0."""
    pairs = accumulate(range(level), lambda pair, _: (pair[1], sum(pair)), initial=(0, 1))
    return [first for first, _ in pairs][:level]


def pyramid(numbers: Sequence[int]) -> str:
    """The sequence as a pyramid: one number in the first row, one more in each row below, as far as it fits a
    line."""
    rows = [" ".join(map(str, numbers[:width])) for width in range(1, min(len(numbers), WIDEST_ROW) + 1)]
    return "\n".join(row.center(len(rows[-1])).rstrip() for row in rows)


def to_wire(number: int) -> int | str:
    """An integer as it travels: as itself within 64 bits, beyond them as decimal text.

    NVFlare's messages hold integers of 64 bits; with a longer one the receiver waits for ever.
    """
    return number if number in _INT64 else str(number)


def from_wire(value: Any) -> int:
    """The integer that `to_wire` made.

    Raises:
        ValueError: it is none.
    """
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        return int(value)
    raise ValueError(f"{str(value)[:40]!r} is no integer and no decimal text")
