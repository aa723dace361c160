"""Write a job folder that runs unchanged and passes its own tests."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment, PackageLoader, StrictUndefined

from deploy.errors import InputError
from fl_app.jobs.registry import UnknownJob, find

FRAMEWORKS = ("pytorch", "numpy", "sklearn", "huggingface")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40


def write_job(name: str, framework: str, parent: Path) -> Path:
    """Write the folder `parent/name`, completely or not at all, and return it.

    Args:
        name: name of the job; its package has the same name with `_` for `-`.
        parent: created if it does not exist.

    Raises:
        InputError: the name is invalid or taken, or the folder exists.
    """
    package = _package_of(name)
    target = parent.absolute() / name
    if target.exists():
        raise InputError(f"{target}: already exists; choose another name or folder")
    environment = Environment(
        loader=PackageLoader("deploy.new_job"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Python and Markdown, not HTML
    )
    variables = {"name": name, "package": package, "framework": framework}
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as temporary:
        for template in sorted(environment.list_templates(extensions=["j2"])):
            origin, _, path = template.partition("/")
            if origin not in ("common", framework):
                continue
            path = path.removesuffix(".j2").replace("test_job.py", f"test_{package}.py")
            file = Path(temporary, name, re.sub("^package/", f"{package}/", path))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(environment.get_template(template).render(variables), encoding="utf-8")
        Path(temporary, name).rename(target)
    return target


def _package_of(name: str) -> str:
    """Return the name of the job's package.

    Raises:
        InputError: the job's name is invalid or taken.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(
            f"{name!r} is not a valid job name: use lowercase letters, digits and single hyphens, "
            f"a letter first, at most {_LONGEST} characters, such as my-job"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package == "job" or find_spec(package) is not None:
        raise InputError(f"{name!r} is not a valid job name: another Python module has the name {package}")
    try:
        find(name)
    except UnknownJob:
        return package
    raise InputError(f"{name!r} is the name of a job of Flarefleet; choose another name")
