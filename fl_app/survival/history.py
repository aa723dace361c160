"""The history of a job: what survival did for it."""

from __future__ import annotations

from typing import Any

from fl_app.survival.interventions import Intervention


def record(engine: Any, job_id: str, intervention: Intervention) -> None:
    """Record an intervention in the history of a job."""
