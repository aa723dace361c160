"""The base class of a job's parameters, and a check that jobs share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict


class JobWarning(UserWarning):
    """A parameter is valid and probably a mistake. `submit`, `export` and `simulate` show the text.

    A recipe calls `warnings.warn("what, and what to do", JobWarning)`.
    """


class JobParameters(BaseModel):
    """Parameters of a job. Every field has a default and a description; unknown names are rejected.

    Subclass it in a job's job.py. `flarefleet submit JOB --set name=value` reads the values from text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def require_sites(parameter: str, named: Iterable[str], sites: Sequence[str]) -> None:
    """Check that every site that a parameter names takes part.

    Raises:
        ValueError: a named site does not take part.
    """
    unknown = [site for site in named if site not in sites]
    if unknown:
        raise ValueError(f"{parameter}: {', '.join(unknown)}: not among the sites: {', '.join(sites)}")
