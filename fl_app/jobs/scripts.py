"""A job.py of NVFlare as a job: a script that makes a recipe or a FedJob and runs, submits or exports it.

The script runs unchanged, as `python job.py ARGUMENTS` in its folder, up to the point where it would run,
submit or export its job.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fl_app.jobs.description import InvalidJob, JobDescription
from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.job_config.api import FedJob
    from nvflare.recipe.spec import Recipe

_DEFINITIONS = ("DESCRIPTION", "PARAMETERS")
"""Names that only a job.py of Flarefleet defines, besides the function `recipe`."""


class ScriptArguments(JobParameters):
    """Command line arguments of a script."""

    arguments: tuple[str, ...] = ()
    """Words after the script's name"""


class ScriptJob:
    """A job that a script made: its recipe or FedJob, with the options with which the script runs it."""

    def __init__(self, job: Recipe | FedJob, **options: Any) -> None:
        self._job: Any = job
        self._options = options

    @property
    def name(self) -> str:
        """Name of the job."""
        return str(self._job.name)

    def export(self, folder: str) -> None:
        """Export the job into `folder`/NAME."""
        export = getattr(self._job, "export_job", None) or self._job.export
        export(folder, **self._options)


def is_script(file: Path) -> bool:
    """Return whether a Python file is a script, and not the job.py of a job of Flarefleet.

    The file is not run. One with a syntax error is none.
    """
    try:
        statements = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError):
        return False
    return not any(_defines_job(statement) for statement in statements)


def _defines_job(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef):
        return statement.name == "recipe" and len(statement.args.args) > 1
    if isinstance(statement, ast.ClassDef):
        return statement.name in _DEFINITIONS
    if isinstance(statement, ast.ImportFrom | ast.Import):
        return any((name.asname or name.name) in _DEFINITIONS for name in statement.names)
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(isinstance(target, ast.Name) and target.id in _DEFINITIONS for target in targets)


def describe(file: Path) -> JobDescription:
    """Return the job that a script makes. The script runs only when the job is exported."""
    return JobDescription(
        name=file.parent.name if file.name == "job.py" else file.stem,
        description=f"Script of NVFlare: {file}",
        parameters=ScriptArguments,
        recipe=lambda parameters, sites: run(file, parameters.arguments),
        warm_up=("nvflare.recipe",),
        file=file,
    )


def run(script: Path, arguments: Sequence[str] = ()) -> ScriptJob:
    """Run a script as this process's main program, and return the job that it would run, submit or export.

    This process keeps the script's modules, working directory and arguments: the export needs them.

    Raises:
        InvalidJob: the script makes no job, or several and runs none of them.
        Exception: what the script raises.
    """
    program = ModuleType("__main__")
    program.__file__ = str(script)
    sys.modules["__main__"] = program
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    os.chdir(script.parent)
    with _recording() as (recipes, jobs):
        try:
            exec(compile(script.read_bytes(), str(script), "exec"), vars(program))  # noqa: S102 - of the user
        except _Reached as reached:
            return reached.job
    made = recipes or jobs
    if len(made) == 1:
        return ScriptJob(made[0])
    found = f"{len(made)} jobs and runs none of them" if made else "no job"
    raise InvalidJob(
        f"{script} makes {found}. A script of NVFlare calls recipe.execute(env), recipe.export(DIR), "
        "job.export_job(DIR) or job.simulator_run(DIR); a job of Flarefleet defines DESCRIPTION, PARAMETERS "
        "and recipe (create one: flarefleet new-job NAME)"
    )


class _Reached(BaseException):
    """Leave a script that would now run its job; scripts that catch Exception do not catch it."""

    def __init__(self, job: ScriptJob) -> None:
        self.job = job


@contextmanager
def _recording() -> Iterator[tuple[list[Any], list[Any]]]:
    """Record the recipes and FedJobs that are made; raise `_Reached` where one would be run or exported."""
    from nvflare.job_config.api import FedJob
    from nvflare.recipe import ProdEnv
    from nvflare.recipe.spec import Recipe

    recipes: list[Any] = []
    jobs: list[Any] = []
    replaced: dict[tuple[type, str], Callable[..., Any]] = {
        (Recipe, "__init__"): _also(Recipe.__init__, recipes.append),
        (FedJob, "__init__"): _also(FedJob.__init__, jobs.append),
        (ProdEnv, "__init__"): _with_any_kit(ProdEnv.__init__),
        (FedJob, "export_job"): _reaching(FedJob.export_job),
        (FedJob, "simulator_run"): _reaching(FedJob.simulator_run),
        **{
            (Recipe, name): _reaching(getattr(Recipe, name), _EXPORT) for name in ("execute", "run", "export")
        },
    }
    original = {key: getattr(*key) for key in replaced}
    try:
        for (cls, name), function in replaced.items():
            setattr(cls, name, function)
        yield recipes, jobs
    finally:
        for (cls, name), function in original.items():
            setattr(cls, name, function)


_EXPORT = ("server_exec_params", "client_exec_params", "env")
"""Arguments of `Recipe.execute`, `run` and `export` that determine the exported job."""


def _also(function: Callable[..., Any], record: Callable[[Any], None]) -> Callable[..., Any]:
    @wraps(function)
    def called(self: Any, *args: Any, **kwargs: Any) -> None:
        function(self, *args, **kwargs)
        record(self)

    return called


def _with_any_kit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the constructor of ProdEnv that accepts the author's kit: the job is submitted with another."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> None:
        given = signature(function).bind(*args, **kwargs)
        given.arguments["startup_kit_location"] = str(Path.cwd())  # NVFlare rejects a folder that is missing
        function(*given.args, **given.kwargs)

    return called


def _reaching(function: Callable[..., Any], kept: Sequence[str] = ()) -> Callable[..., Any]:
    """Return a function that raises `_Reached` with these arguments of the call."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> None:
        given = signature(function).bind(*args, **kwargs).arguments
        raise _Reached(ScriptJob(given["self"], **{name: given[name] for name in kept if name in given}))

    return called
