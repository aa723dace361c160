"""Requests to clusters for several servers and sites at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MAX_REQUESTS = 8
"""Concurrent requests to clusters."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each(
    action: Callable[[_Item], _Result], items: Iterable[_Item], workers: int = MAX_REQUESTS
) -> list[_Result]:
    """Call an action for each item concurrently, and return the results. Raise the first error at the end."""
    with ThreadPoolExecutor(workers) as pool:
        return [done.result() for done in [pool.submit(action, item) for item in items]]
