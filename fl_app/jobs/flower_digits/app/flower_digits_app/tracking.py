"""Where metrics go: to NVFlare's trackers if the app runs under NVFlare, and nowhere under Flower alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

UNDER_NVFLARE = "NVFLARE_ANALYTICS_BOOTSTRAP"
"""NVFlare's bridge says in it how metrics reach it."""


@contextmanager
def connected() -> Iterator[None]:
    """Around everything that logs, once a process."""
    if UNDER_NVFLARE not in os.environ:
        yield
        return
    from nvflare.client import tracking

    tracking.init()
    try:
        yield
    finally:
        tracking.shutdown()


def log(values: Mapping[str, float], step: int) -> None:
    """Log scalars.

    Args:
        step: their place on the horizontal axis.
    """
    if UNDER_NVFLARE not in os.environ:
        return
    from nvflare.client.tracking import SummaryWriter

    writer = SummaryWriter()
    for tag, value in values.items():
        writer.add_scalar(tag, value, global_step=step)
