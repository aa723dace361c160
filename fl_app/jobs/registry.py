"""Find jobs: Flarefleet's by name, users' own by path. Each is a folder that contains a job.py.

A job.py defines DESCRIPTION, PARAMETERS and recipe, and optionally NEEDS, EXTRAS and WARM_UP: see
`JobDescription`. The package numpy_fedavg contains the job numpy-fedavg.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import fl_app.jobs
from fl_app.jobs.custom_jobs import load
from fl_app.jobs.description import JobDescription, UnknownJob

__all__ = ["JobDescription", "UnknownJob", "available", "find"]


def available() -> tuple[JobDescription, ...]:
    """Return every job of Flarefleet, sorted by name."""
    return tuple(_describe(name) for name in _names())


def find(name: str) -> JobDescription:
    """Return Flarefleet's job `name`, or a user's own job if `name` is a path, such as ./my-job.

    Raises:
        UnknownJob: there is no such job, or its folder is invalid.
    """
    if "/" in name or name in (".", ".."):
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
    return JobDescription.of(name, import_module(f"fl_app.jobs.{name.replace('-', '_')}.job"))
