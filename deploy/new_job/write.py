"""Writes a job folder that runs as it is and passes its own test."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment, PackageLoader, StrictUndefined

from deploy.errors import InputError
from fl_app.jobs.registry import UnknownJob, find

FRAMEWORKS = ("pytorch", "numpy")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40


def write_job(name: str, framework: str, parent: Path) -> Path:
    """Write the folder `parent/name`, whole or not at all, and return it.

    Args:
        name: of the job; its package is called the same, with `_` for `-`.
        framework: one of FRAMEWORKS.
        parent: an existing folder, or one to be made.

    Raises:
        InputError: a name that no job can have or that is taken, or the folder exists.
    """
    package = _package_of(name)
    target = parent.absolute() / name
    if target.exists():
        raise InputError(f"{target}: exists already, and nothing is overwritten")
    environment = Environment(
        loader=PackageLoader("deploy.new_job"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Python and Markdown, not HTML
    )
    words = {"name": name, "package": package, "framework": framework}
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as made:
        for template in sorted(environment.list_templates(extensions=["j2"])):
            origin, _, path = template.partition("/")
            if origin not in ("common", framework):
                continue
            file = Path(made, name, _placed(path, package))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(environment.get_template(template).render(words), encoding="utf-8")
        Path(made, name).rename(target)
    return target


def _placed(template: str, package: str) -> str:
    path = template.removesuffix(".j2")
    if path.startswith("package/"):
        return f"{package}/{path.removeprefix('package/')}"
    return path.replace("test_job.py", f"test_{package}.py")


def _package_of(name: str) -> str:
    """The package of a job of that name.

    Raises:
        InputError: no job can have that name.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(
            f"{name!r} cannot be a job's name: small letters, digits and single hyphens, a letter first, "
            f"at most {_LONGEST}, such as my-job"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package == "job" or find_spec(package) is not None:
        raise InputError(f"{name!r} cannot be a job's name: Python has another module {package} already")
    try:
        find(name)
    except UnknownJob:
        return package
    raise InputError(f"{name!r} is a job of the kit already; choose another name")
