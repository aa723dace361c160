"""Wait for a condition in a test."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TypeVar

from tests.skipping import IN_CI

_Result = TypeVar("_Result")

TIMEOUT_FACTOR = 3.0 if IN_CI else 1.0
"""Timeouts are longer in CI, where four workers and their processes share two processors."""


def eventually(
    condition: Callable[[], _Result],
    seconds: float = 30.0,
    what: object = "",
    *,
    pause: float | None = None,
    tolerating: Collection[type[Exception]] = (),
) -> _Result:
    """Call `condition` until its result is true, and return that result.

    Args:
        condition: the condition.
        seconds: timeout on an idle machine.
        what: description of the condition, for the message.
        pause: seconds between two calls (default: 0.05, and up to 0.25 after five seconds: many conditions
            ask a server, which takes processor time from what they wait for).
        tolerating: exceptions that count as a false result.

    Raises:
        AssertionError: the result was not true in time.
    """
    start = time.monotonic()
    deadline = start + seconds * TIMEOUT_FACTOR
    while True:
        with suppress(*tolerating):
            if found := condition():
                return found
        assert time.monotonic() < deadline, (
            f"not true after {seconds * TIMEOUT_FACTOR:.0f} s: {what or condition}"
        )
        growing = min(max((time.monotonic() - start) / 20, 0.05), 0.25)
        time.sleep(growing if pause is None else pause)
