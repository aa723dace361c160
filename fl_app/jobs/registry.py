"""Which jobs there are: every folder of fl_app/jobs with a job.py that says PARAMETERS, DESCRIPTION and
recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import fl_app.jobs
from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe


@dataclass(frozen=True)
class JobDescription:
    """A job of the kit."""

    name: str
    description: str
    parameters: type[JobParameters]
    recipe: Callable[[Any, Sequence[str]], Recipe]
    """Puts the job together from its parameters, for these sites; imports torch and NVFlare only when
    called."""


class UnknownJob(LookupError):  # noqa: N818 - what it is, in the words of whoever reads it
    """There is no such job; its text says which there are."""


def available() -> tuple[JobDescription, ...]:
    """Every job, by name."""
    return tuple(_describe(name) for name in _names())


def find(name: str) -> JobDescription:
    """The job `name`.

    Raises:
        UnknownJob: with the likely right name.
    """
    names = _names()
    if name in names:
        return _describe(name)
    close = get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UnknownJob(f"there is no job {name!r}{hint} Jobs: {', '.join(names)}")


def _names() -> list[str]:
    packages = (module.name for module in iter_modules(fl_app.jobs.__path__) if module.ispkg)
    return sorted(name for name in packages if find_spec(f"fl_app.jobs.{name}.job") is not None)


def _describe(name: str) -> JobDescription:
    job = import_module(f"fl_app.jobs.{name}.job")
    return JobDescription(name, job.DESCRIPTION, job.PARAMETERS, job.recipe)
