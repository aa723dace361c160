"""Event files, as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read_run(folder: Path) -> EventAccumulator:
    """Return a run with all of its values."""
    run = EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}
    )
    run.Reload()
    return run
