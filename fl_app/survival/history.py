"""The history of a job: its interventions."""

from __future__ import annotations

from typing import Any

from fl_app.survival.interventions import Intervention


def record(engine: Any, job_id: str, intervention: Intervention) -> None:
    """Add an intervention to the history of a job."""
