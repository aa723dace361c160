"""Loading what a process keeps for its life."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import without looking for garbage, and never look for any in what was imported.

    A parent or a job's process makes half a million objects before its work begins; to go through them again
    and again takes a tenth of its start. See `gc.freeze` in Python's documentation.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
