"""Loading what a process keeps for its life."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import without looking for garbage, and never look for any in what was imported.

    To go through all of NVFlare again and again takes a tenth of the time of its import. See `gc.freeze` in
    Python's documentation.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
