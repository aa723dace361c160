"""Documents of the kind `metrics`: values of a job that changed since its last document."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, NonNegativeInt, StringConstraints, model_validator

from fl_app.telemetry.catalogue import JOBS, PER_SITE_METRICS, Type
from fl_app.telemetry.push_gateway import Reason

KIND = "metrics"
MAX_LABEL = 128
"""Characters of a label value; job processes truncate longer ones."""
MAX_CHANGES = 4000
"""Values of one document."""
_PARENT_ONLY = ("job_info",)

Label = Annotated[str, StringConstraints(max_length=MAX_LABEL)]
Labels = Annotated[list[Label], Field(max_length=3)]
Value = tuple[str, Labels, float]
"""Name, labels, value."""
Distribution = tuple[str, Labels, Annotated[list[NonNegativeInt], Field(max_length=30)], float]
"""Name, labels, observations in each bucket (not cumulative, the last is +Inf), sum of observations."""


class MetricsDocument(BaseModel, extra="forbid", frozen=True):
    """Changed values; each replaces the previous value of its series."""

    values: list[Value] = Field(default_factory=list, max_length=MAX_CHANGES)
    distributions: list[Distribution] = Field(default_factory=list, max_length=100)
    dropped: dict[str, NonNegativeInt] = Field(default_factory=dict, max_length=4)
    """Number of values that the job dropped since its last document, by reason."""

    @model_validator(mode="after")
    def _check_names(self) -> MetricsDocument:
        for name, labels, _ in self.values:
            _check(name, labels, histogram=False)
        for name, labels, counts, _ in self.distributions:
            _check(name, labels, histogram=True)
            if len(counts) != len(JOBS[name].buckets) + 1:
                raise ValueError(f"{name}: wrong number of buckets")
        if not self.dropped.keys() <= {Reason.QUEUE, Reason.CAPACITY}:
            raise ValueError("unknown reason for dropped values")
        return self


def _check(name: str, labels: list[str], *, histogram: bool) -> None:
    spec = JOBS.get(name)
    if spec is None or name in _PARENT_ONLY or (spec.type is Type.HISTOGRAM) is not histogram:
        raise ValueError(f"{name[:80]!r} is not a metric of a job")
    if len(labels) != len(spec.labels) + (name in PER_SITE_METRICS):
        raise ValueError(f"{name}: wrong number of labels")
