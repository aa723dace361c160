"""What the hospitals logged while they trained, read from TensorBoard's event files."""

from __future__ import annotations

from pathlib import Path

from deploy.errors import Failed


def logged(events: Path, site: str, tag: str, rounds: int) -> tuple[float, ...]:
    """The values that a site logged under a tag, one a round.

    Args:
        events: the folder that holds one folder a site.

    Raises:
        Failed: a round is missing.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(events / site), size_guidance={"scalars": 0})
    accumulator.Reload()
    known = tag in accumulator.Tags()["scalars"]
    points = {event.step: event.value for event in accumulator.Scalars(tag)} if known else {}
    missing = [number for number in range(rounds) if number not in points]
    if missing:
        raise Failed(
            f"{site} logged no {tag} in round {', '.join(map(str, missing))}, so no report can be made. "
            f"What it logged: {events / site}"
        )
    return tuple(float(points[number]) for number in range(rounds))
