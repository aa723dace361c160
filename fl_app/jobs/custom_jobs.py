"""Load a user's own job: a folder with a job.py and the packages that it runs at the sites.

job.py stays on the user's machine. The packages (folders with an __init__.py) travel with the job to the
server and the sites; the user who submits needs the right to bring code (`byoc`).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from fl_app.jobs.description import JobDescription, UnknownJob
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.user_code import UserCodeError, import_file

_NOT_EXPORTED = shutil.ignore_patterns("__pycache__", "*.pyc", "test_*", "tests", ".*")


def load(folder: Path) -> JobDescription:
    """Load the job in `folder`, and put the folder on sys.path, so that its packages can be imported.

    Raises:
        UnknownJob: its job.py is invalid.
    """
    folder = folder.expanduser().resolve()
    file = folder / "job.py"
    _check_package_names(packages_of(folder))
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        job = import_file(f"flarefleet_job_{folder.name.replace('-', '_')}", file)
    except UserCodeError as error:
        raise UnknownJob(str(error)) from error
    _check_definitions(file, job)
    return JobDescription.of(folder.name.replace("_", "-"), job, folder)


def packages_of(folder: Path) -> tuple[Path, ...]:
    """Return the packages of a job's folder that travel with the job, sorted by name."""
    return tuple(sorted(file.parent for file in folder.glob("*/__init__.py") if file.parent.name != "tests"))


def copy_packages(packages: Iterable[Path], exported: Path) -> None:
    """Copy packages into every app of an exported job, where NVFlare imports a job's own code from."""
    for config in exported.glob("*/config"):
        for package in packages:
            target = config.parent / "custom" / package.name
            shutil.copytree(package, target, dirs_exist_ok=True, ignore=_NOT_EXPORTED)


def _check_package_names(packages: Iterable[Path]) -> None:
    """Reject a package that another package of the same name would hide, here or at the sites."""
    for package in packages:
        found = find_spec(package.name)
        if found is not None and Path(found.origin or "").parent != package:
            raise UnknownJob(
                f"{package}: another package has the name {package.name} ({found.origin}); rename yours"
            )


def _check_definitions(file: Path, job: ModuleType) -> None:
    missing = [name for name in ("DESCRIPTION", "PARAMETERS", "recipe") if not hasattr(job, name)]
    if missing:
        raise UnknownJob(f"{file}: does not define {', '.join(missing)}")
    if not (isinstance(job.PARAMETERS, type) and issubclass(job.PARAMETERS, JobParameters)):
        raise UnknownJob(f"{file}: PARAMETERS must be a subclass of fl_app.jobs.parameters.JobParameters")
    required = [name for name, field in job.PARAMETERS.model_fields.items() if field.is_required()]
    if required:
        raise UnknownJob(f"{file}: PARAMETERS: fields without a default: {', '.join(required)}")
