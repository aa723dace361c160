"""Which jobs there are: every folder of fl_app/jobs with a job.py; `own` reads folders elsewhere.

A job.py says DESCRIPTION, PARAMETERS and recipe. It may also say NEEDS, the packages without which its recipe
cannot be put together or its training cannot run, each with what installs it; EXTRAS, which extras of the
images it needs where sites are containers; and WARM_UP, modules that its recipe imports and that take their
time: they are imported while `flarefleet submit` still logs in.

A folder's name is a Python package and so has `_`; the job's name has `-` in its place: the folder
numpy_fedavg holds the job numpy-fedavg.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import fl_app.jobs
from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe


@dataclass(frozen=True)
class JobDescription:
    """A job that can be put together."""

    name: str
    description: str
    parameters: type[JobParameters]
    recipe: Callable[[Any, Sequence[str]], Recipe]
    """Puts the job together from its parameters, for these sites; imports torch and NVFlare only when
    called."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Packages by the name they are imported by, each with what pip installs them with."""
    extras: tuple[str, ...] = ()
    """What the images must hold besides: `deployment.image.extras` of project.yml."""
    warm_up: tuple[str, ...] = ()
    """Modules that the recipe imports and that take their time."""
    folder: Path | None = None
    """Where a user's own job lies; None for a job of the kit."""

    @property
    def source(self) -> str:
        """What `find` finds it by, in any process."""
        return str(self.folder) if self.folder else self.name

    def missing(self, elsewhere: Sequence[str] = ()) -> str:
        """What is missing in this environment, with what installs it; empty if nothing is.

        Args:
            elsewhere: extras that the images have from which the job will run; a recipe needs none.
        """
        there = {f"flarefleet[{extra}]" for extra in elsewhere if extra in self.extras}
        needed = [name for name, what in self.needs.items() if what not in there]
        absent = [name for name in needed if find_spec(name) is None]
        if not absent:
            return ""
        install = " ".join(f"'{what}'" for what in dict.fromkeys(self.needs[name] for name in absent))
        return f"the job {self.name} needs {', '.join(absent)}, not installed here: pip install {install}"


class UnknownJob(LookupError):  # noqa: N818 - what it is, in the words of whoever reads it
    """There is no such job; its text says which there are."""


def available() -> tuple[JobDescription, ...]:
    """Every job, by name."""
    return tuple(_describe(name) for name in _names())


def find(name: str) -> JobDescription:
    """The job `name`, or the one in a folder of a user's own, which is named by a path: ./my-job.

    Raises:
        UnknownJob: with the likely right name, or with what is wrong with the folder.
    """
    if "/" in name or name in (".", ".."):
        from fl_app.jobs.custom_jobs import load

        return load(Path(name))
    names = _names()
    if name in names:
        return _describe(name)
    close = get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    if Path(name, "job.py").is_file():
        hint = f"; did you mean the folder ./{name}?"
    raise UnknownJob(f"there is no job {name!r}{hint} Jobs: {', '.join(names)}")


def _names() -> list[str]:
    packages = (module.name for module in iter_modules(fl_app.jobs.__path__) if module.ispkg)
    return sorted(
        package.replace("_", "-")
        for package in packages
        if find_spec(f"fl_app.jobs.{package}.job") is not None
    )


def _describe(name: str) -> JobDescription:
    job = import_module(f"fl_app.jobs.{name.replace('-', '_')}.job")
    return JobDescription(
        name,
        job.DESCRIPTION,
        job.PARAMETERS,
        job.recipe,
        needs=getattr(job, "NEEDS", {}),
        extras=tuple(getattr(job, "EXTRAS", ())),
        warm_up=tuple(getattr(job, "WARM_UP", ())),
    )
