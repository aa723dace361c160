"""Wait for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def poll_until(condition: Callable[[], _Result], timeout: float, interval: float) -> _Result:
    """Call `condition` until its result is true, and return the last result.

    Args:
        condition: the condition.
        timeout: seconds after which a false result is returned.
        interval: seconds between two calls.
    """
    deadline = time.monotonic() + timeout
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(interval)
    return result
