"""Wait for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def poll_until(condition: Callable[[], _Result], timeout: float, interval: float) -> _Result:
    """Call `condition` every `interval` seconds until its result is true or `timeout` seconds have passed.

    Returns:
        The last result.
    """
    deadline = time.monotonic() + timeout
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(interval)
    return result
