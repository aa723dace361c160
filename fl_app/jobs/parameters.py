"""The base class of a job's parameters, and a check that jobs share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

QUORUM_GRACE_SECONDS = 30.0


class JobWarning(UserWarning):
    """A parameter is valid and probably a mistake. `submit`, `export` and `simulate` show the text.

    A recipe calls `warnings.warn("what, and what to do", JobWarning)`.
    """


class JobParameters(BaseModel):
    """Parameters of a job. Every field has a default and a description; unknown names are rejected.

    Subclass it in a job's job.py. `flarefleet submit JOB --set name=value` reads the values from text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class QuorumParameters(JobParameters):
    """Parameters of a job whose rounds may do without some sites."""

    quorum: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Number of sites whose results end a round, or a share of the sites such as 0.5; all sites if not set"""
    quorum_grace: float | None = Field(None, ge=0, le=86400, allow_inf_nan=False)
    """Seconds for which a round that has its quorum waits for the other sites; 30 if not set"""

    @model_validator(mode="after")
    def _check_quorum(self) -> Self:
        if self.quorum is None and self.quorum_grace is not None:
            raise ValueError("quorum_grace needs quorum; without one, a round waits for all sites")
        if self.quorum is not None and self.quorum > 1 and self.quorum != int(self.quorum):
            raise ValueError(f"quorum={self.quorum:g} must be a whole number of sites, or a share below 1")
        return self

    @property
    def grace(self) -> float:
        """Seconds for which a round that has its quorum waits for the other sites."""
        return QUORUM_GRACE_SECONDS if self.quorum_grace is None else self.quorum_grace

    def results_needed(self, sites: int) -> int:
        """Return the number of results that end a round; 0 if all sites must answer.

        Args:
            sites: number of sites of the job.

        Raises:
            ValueError: the job has fewer sites than the quorum.
        """
        if self.quorum is None:
            return 0
        needed = int(self.quorum) if self.quorum >= 1 else math.ceil(round(self.quorum * sites, 9))
        if needed > sites:
            raise ValueError(f"quorum={needed} exceeds the {sites} sites")
        return needed


def require_sites(parameter: str, named: Iterable[str], sites: Sequence[str]) -> None:
    """Check that every site that a parameter names takes part.

    Raises:
        ValueError: a named site does not take part.
    """
    unknown = [site for site in named if site not in sites]
    if unknown:
        raise ValueError(f"{parameter}: {', '.join(unknown)}: not among the sites: {', '.join(sites)}")
