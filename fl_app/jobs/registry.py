"""Find jobs: Flarefleet's by name, users' own by path.

A job.py of Flarefleet defines DESCRIPTION, PARAMETERS and recipe, and optionally NEEDS, EXTRAS and WARM_UP:
see `JobDescription`. The package numpy_fedavg contains the job numpy-fedavg. A path may also lead to a script
of NVFlare, to a folder with one, or to an exported job.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import fl_app.jobs
from fl_app.jobs import exported_jobs, scripts
from fl_app.jobs.custom_jobs import load
from fl_app.jobs.description import JobDescription, UnknownJob

__all__ = ["JobDescription", "UnknownJob", "available", "find", "is_path"]


def available() -> tuple[JobDescription, ...]:
    """Return every job of Flarefleet, sorted by name."""
    return tuple(_describe(name) for name in _names())


def find(name: str) -> JobDescription:
    """Return Flarefleet's job `name`, or a user's own job if `name` is a path, such as ./my-job.

    Raises:
        UnknownJob: there is no such job, or its folder is invalid.
    """
    if is_path(name):
        return _find_path(Path(name).expanduser().resolve())
    names = _names()
    if name in names:
        return _describe(name)
    close = get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    if Path(name).is_dir():
        hint = f"; did you mean the folder ./{name}?"
    raise UnknownJob(f"there is no job {name!r}{hint} Jobs: {', '.join(names)}")


_FILES = (".py", ".zip")


def is_path(name: str) -> bool:
    """Return whether `find` takes a name as the path of a user's own job."""
    return "/" in name or name in (".", "..") or name.endswith(_FILES)


def _find_path(path: Path) -> JobDescription:
    if not path.exists():
        raise UnknownJob(f"{path}: does not exist")
    file = path / "job.py" if path.is_dir() else path
    if file.suffix == ".py" and file.is_file():
        if scripts.is_script(file):
            return scripts.describe(file)
        if file.name != "job.py":
            raise UnknownJob(
                f"{file}: is not a script of NVFlare; a job of Flarefleet is a folder with a job.py"
            )
        return load(file.parent)
    if (path.suffix == ".zip" and path.is_file()) or exported_jobs.is_exported(path):
        return exported_jobs.describe(path)
    if path.is_file():
        raise UnknownJob(f"{path}: is not a job; a file must be a script (.py) or an archive (.zip)")
    exported = [folder.name for folder in sorted(path.iterdir()) if exported_jobs.is_exported(folder)]
    hint = f"; did you mean {path / exported[0]}?" if exported else ". Create a job: flarefleet new-job NAME"
    raise UnknownJob(
        f"{path}: holds neither job.py (a job of Flarefleet, or a script of NVFlare) nor meta.json "
        f"(an exported job){hint}"
    )


def _names() -> list[str]:
    packages = (module.name for module in iter_modules(fl_app.jobs.__path__) if module.ispkg)
    return sorted(
        package.replace("_", "-")
        for package in packages
        if find_spec(f"fl_app.jobs.{package}.job") is not None
    )


def _describe(name: str) -> JobDescription:
    return JobDescription.of(name, import_module(f"fl_app.jobs.{name.replace('-', '_')}.job"))
