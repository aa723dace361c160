"""Fibonacci numbers of any size, and their encoding for NVFlare's messages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

MAX_LEVEL = 20_000
"""Its sum has 4,180 digits; Python converts integers of up to 4,300 digits to text."""
MAX_ROW = 12
"""Numbers in the last row of a pyramid; a longer row would not fit a line of the log."""

_INT64 = range(-(2**63), 2**63)
_MAX_DIGITS = 4300


def sequence(level: int) -> list[int]:
    """Return the first `level` Fibonacci numbers, from 0."""
    pairs = accumulate(range(level), lambda pair, _: (pair[1], sum(pair)), initial=(0, 1))
    return [first for first, _ in pairs][:level]


def pyramid(numbers: Sequence[int]) -> str:
    """Draw the sequence as a pyramid of at most MAX_ROW rows, each one number longer than the last."""
    rows = [" ".join(map(str, numbers[:width])) for width in range(1, min(len(numbers), MAX_ROW) + 1)]
    return "\n".join(row.center(len(rows[-1])).rstrip() for row in rows)


def to_wire(number: int) -> int | str:
    """Encode an integer: beyond 64 bits as decimal text.

    NVFlare's messages hold integers of 64 bits; the receiver of a longer one waits forever.
    """
    return number if number in _INT64 else str(number)


def from_wire(value: Any) -> int:
    """Decode the result of `to_wire`.

    Raises:
        ValueError: the value is neither an integer nor decimal text.
    """
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    raise ValueError(f"{str(value)[:40]!r} is neither an integer nor decimal text")
