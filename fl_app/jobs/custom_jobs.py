"""A job in a folder of a user's own: job.py, as in the kit's folders, and the packages beside it.

job.py stays where it is: it puts the job together. The packages (folders with an __init__.py) travel with the
job to the server and the sites, which do not have them; whoever submits needs the right to bring code.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription, UnknownJob

_LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.pyc", "test_*", "tests", ".*")


def load(folder: Path) -> JobDescription:
    """The job that a folder holds. Its packages can be imported from then on.

    Raises:
        UnknownJob: it holds none, or one that cannot be used; says why.
    """
    folder = folder.expanduser().resolve()
    if not (folder / "job.py").is_file():
        raise UnknownJob(f"{folder}: holds no job.py; make a job: flarefleet new-job NAME")
    packages = packages_of(folder)
    _refuse_taken_names(folder, packages)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    job = _imported(folder / "job.py")
    _refuse_unfinished(folder / "job.py", job)
    return JobDescription(
        folder.name.replace("_", "-"),
        job.DESCRIPTION,
        job.PARAMETERS,
        job.recipe,
        needs=getattr(job, "NEEDS", {}),
        warm_up=tuple(getattr(job, "WARM_UP", ())),
        folder=folder,
    )


def packages_of(folder: Path) -> tuple[Path, ...]:
    """The packages that travel, by name."""
    return tuple(sorted(file.parent for file in folder.glob("*/__init__.py") if file.parent.name != "tests"))


def send_along(packages: Iterable[Path], exported: Path) -> None:
    """Put the packages into every app of an exported job, where NVFlare imports a job's own code from."""
    for config in exported.glob("*/config"):
        for package in packages:
            target = config.parent / "custom" / package.name
            shutil.copytree(package, target, dirs_exist_ok=True, ignore=_LEFT_BEHIND)


def _refuse_taken_names(folder: Path, packages: Iterable[Path]) -> None:
    """A package of a name that is taken would be found here, and not at the sites, or the other way round."""
    for package in packages:
        found = find_spec(package.name)
        if found is not None and Path(found.origin or "").parent != package:
            raise UnknownJob(
                f"{package}: there is another package {package.name} already ({found.origin}); rename it"
            )


def _imported(file: Path) -> ModuleType:
    name = f"flarefleet_job_{file.parent.name.replace('-', '_')}"
    spec = spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks up the types of its fields there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UnknownJob(f"{file}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _refuse_unfinished(file: Path, job: ModuleType) -> None:
    wanted = [name for name in ("DESCRIPTION", "PARAMETERS", "recipe") if not hasattr(job, name)]
    if wanted:
        raise UnknownJob(f"{file}: says no {', '.join(wanted)}")
    if not (isinstance(job.PARAMETERS, type) and issubclass(job.PARAMETERS, JobParameters)):
        raise UnknownJob(f"{file}: PARAMETERS must be a subclass of fl_app.jobs.parameters.JobParameters")
    without = [name for name, field in job.PARAMETERS.model_fields.items() if field.is_required()]
    if without:
        raise UnknownJob(f"{file}: PARAMETERS: without a default: {', '.join(without)}")
