"""Metrics for NVFlare's trackers; without NVFlare, no metrics are logged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

UNDER_NVFLARE = "NVFLARE_ANALYTICS_BOOTSTRAP"
"""Variable that NVFlare sets for the app; names the file with the address for metrics."""


@contextmanager
def connected() -> Iterator[None]:
    """Connect to NVFlare's trackers; enter once in a process, around everything that logs."""
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
    """Log scalars at a step."""
    if UNDER_NVFLARE not in os.environ:
        return
    from nvflare.client.tracking import SummaryWriter

    writer = SummaryWriter()
    for tag, value in values.items():
        writer.add_scalar(tag, value, global_step=step)
