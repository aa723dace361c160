"""The document `analytics` that a server's job pushes to its parent."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fl_app.tracking.points import Point

KIND = "analytics"
MAX_POINTS = 5000
"""Of one document."""


class AnalyticsDocument(BaseModel):
    """Some points of one job, in the order in which they came."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    job: Annotated[str, Field(max_length=256)] = ""
    """The job's name."""
    points: Annotated[tuple[Point, ...], Field(max_length=MAX_POINTS)]
