"""What a job can be told: the base of every job's PARAMETERS."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class JobParameters(BaseModel):
    """Parameters of a job: every field has a default and a description, and no other name is accepted.

    Subclass it in a job's job.py. `flarefleet submit JOB --set name=value` reads values for its fields from
    text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
