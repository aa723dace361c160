"""What a job pushes as `metrics`: the values that changed since its parent took the last document."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, NonNegativeInt, StringConstraints, model_validator

from fl_app.telemetry.catalogue import JOBS, SAID_OF_SITES, Type
from fl_app.telemetry.intake import Reason

KIND = "metrics"
LABEL_LENGTH = 128
"""Characters; job processes cut longer ones."""
CHANGES = 4000
"""In one document."""
_SERIES_OF_PARENTS = ("job_info",)

Label = Annotated[str, StringConstraints(max_length=LABEL_LENGTH)]
Labels = Annotated[list[Label], Field(max_length=3)]
Value = tuple[str, Labels, float]
"""Name, labels, value."""
Distribution = tuple[str, Labels, Annotated[list[NonNegativeInt], Field(max_length=30)], float]
"""Name, labels, how many observations each bucket has (the last is +Inf; not cumulated), their sum."""


class MetricsDocument(BaseModel, extra="forbid", frozen=True):
    """Changed values; those of a series replace each other."""

    values: list[Value] = Field(default_factory=list, max_length=CHANGES)
    distributions: list[Distribution] = Field(default_factory=list, max_length=100)
    dropped: dict[str, NonNegativeInt] = Field(default_factory=dict, max_length=4)
    """What the job itself had to drop since its last document, by reason."""

    @model_validator(mode="after")
    def _names_what_there_is(self) -> MetricsDocument:
        for name, labels, _ in self.values:
            _check(name, labels, histogram=False)
        for name, labels, counts, _ in self.distributions:
            _check(name, labels, histogram=True)
            if len(counts) != len(JOBS[name].buckets) + 1:
                raise ValueError(f"{name} has other buckets")
        if not self.dropped.keys() <= {Reason.QUEUE, Reason.ROOM}:
            raise ValueError("dropped for an unknown reason")
        return self


def _check(name: str, labels: list[str], *, histogram: bool) -> None:
    spec = JOBS.get(name)
    if spec is None or name in _SERIES_OF_PARENTS or (spec.type is Type.HISTOGRAM) is not histogram:
        raise ValueError(f"{name[:80]!r} is none of the metrics of a job")
    if len(labels) != wire_labels(name):
        raise ValueError(f"{name} has other labels")


def wire_labels(name: str) -> int:
    """How many labels a series of this metric has in a document."""
    return len(JOBS[name].labels) + (name in SAID_OF_SITES)
