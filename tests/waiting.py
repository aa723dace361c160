"""Waiting for what will be so in a moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TypeVar

_Found = TypeVar("_Found")

IN_CI = 3.0 if os.environ.get("CI") == "true" else 1.0
"""How many times longer CI waits: two workers, and whatever their tests start, share its cores."""


def eventually(
    look: Callable[[], _Found],
    seconds: float = 30.0,
    what: object = "",
    *,
    pause: float = 0.05,
    tolerating: Collection[type[Exception]] = (),
) -> _Found:
    """What `look` returns, as soon as that is true.

    Args:
        look: asked again and again.
        seconds: how long, where nothing else is going on.
        what: said when it does not come to be so.
        pause: seconds between two looks.
        tolerating: what `look` may raise meanwhile.

    Raises:
        AssertionError: it was not so in that time.
    """
    deadline = time.monotonic() + seconds * IN_CI
    while True:
        with suppress(*tolerating):
            if found := look():
                return found
        assert time.monotonic() < deadline, f"not so after {seconds * IN_CI:.0f} s: {what or look}"
        time.sleep(pause)
