"""A user's own job: found by its path, validated, and exported with its packages."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import JobSites, export_process
from fl_app.jobs.custom_jobs import load, packages_of
from fl_app.jobs.registry import UnknownJob, find

JOB = """
from fl_app.jobs.parameters import JobParameters

DESCRIPTION = "Custom"

class PARAMETERS(JobParameters):
    rounds: int = 3
    '''Number of rounds'''

def recipe(parameters, sites):
    from {package}.client import Client
    from nvflare.app_common.workflows.cyclic_ctl import CyclicController
    from nvflare.job_config.api import FedJob
    from nvflare.recipe.spec import Recipe
    job = FedJob(name="custom", min_clients=len(sites))
    job.to_server(CyclicController(num_rounds=parameters.rounds))
    job.to_clients(Client(), tasks=["train"])
    return Recipe(job)
"""
CLIENT = """
from nvflare.apis.executor import Executor

class Client(Executor):
    def execute(self, task_name, shareable, fl_ctx, abort_signal):
        from {package} import lazy
        return shareable
"""
_numbers = itertools.count()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A job with a new name in every test, because Python imports a package only once."""
    package = f"custom_{next(_numbers)}"
    folder = tmp_path / package.replace("_", "-")
    (folder / package / "tests").mkdir(parents=True)
    (folder / "job.py").write_text(JOB.format(package=package))
    (folder / package / "__init__.py").touch()
    (folder / package / "client.py").write_text(CLIENT.format(package=package))
    (folder / package / "lazy.py").write_text("value = 1\n")
    (folder / package / "words.txt").write_text("data of the package\n")
    (folder / package / "tests" / "test_it.py").touch()
    (folder / "test_custom.py").touch()
    before = list(sys.path)
    yield folder
    sys.path[:] = before


def test_a_job_is_found_by_its_path_and_has_the_folders_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    job = find(f"./{folder.name}")
    assert (job.name, job.description, job.folder) == (folder.name, "Custom", folder)
    assert read_parameters(job, ["rounds=7"]).rounds == 7


def test_a_folder_without_a_slash_is_suggested(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UnknownJob, match=rf"did you mean the folder \./{folder.name}\?"):
        find(folder.name)


def test_the_package_is_exported_without_tests_and_job_py(folder: Path, tmp_path: Path) -> None:
    job = find_job(str(folder))
    with export_process(job) as exporting:
        reply = exporting.export(
            read_parameters(job, ()), JobSites(("a", "b"), chosen=False), tmp_path / "out"
        )
    assert reply.folder is not None
    custom = reply.folder / "app" / "custom"
    exported = sorted(str(file.relative_to(custom)) for file in custom.rglob("*") if file.is_file())
    (package,) = {name.partition("/")[0] for name in exported}
    assert exported == [f"{package}/{name}" for name in ("__init__.py", "client.py", "lazy.py", "words.txt")]
    client = json.loads((reply.folder / "app" / "config" / "config_fed_client.json").read_text())
    assert client["executors"][0]["executor"]["path"] == f"{package}.client.Client"


def test_a_folder_without_a_job_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither job\.py .*\. Create a job: flarefleet new-job"):
        find_job(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def recipe(:", "1: SyntaxError"),
        (
            "import no_such_package\nDESCRIPTION = ''",
            "1: ModuleNotFoundError: No module named 'no_such_package'",
        ),
        ("import sys\nsys.exit(0)\nDESCRIPTION = ''", "2: SystemExit: 0"),
        ("DESCRIPTION = 'x'", " does not define PARAMETERS, recipe"),
        ("DESCRIPTION = PARAMETERS = recipe = 1", " PARAMETERS must be a subclass of"),
        (
            "from fl_app.jobs.parameters import JobParameters\nDESCRIPTION = recipe = ''\n"
            "class PARAMETERS(JobParameters):\n    rounds: int\n",
            " PARAMETERS: fields without a default: rounds",
        ),
    ],
)
def test_an_invalid_job_py_is_rejected_with_the_reason(folder: Path, text: str, why: str) -> None:
    (folder / "job.py").write_text(text)
    with pytest.raises(InputError, match=rf"^{folder}/job\.py:{why}"):
        find_job(str(folder))


def test_an_error_is_reported_without_the_frames_of_python_in_any_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "job.py").write_text("import no_such_package\nDESCRIPTION = ''\n")
    with pytest.raises(InputError) as caught:
        find_job(str(folder))
    frames = [line for line in str(caught.value).splitlines() if "File " in line]
    assert [line.strip() for line in frames] == [f'File "{folder}/job.py", line 1, in <module>']


def test_a_package_with_the_name_of_another_is_rejected(folder: Path) -> None:
    (folder / "json").mkdir()
    (folder / "json" / "__init__.py").touch()
    with pytest.raises(UnknownJob, match="another package has the name json"):
        load(folder)


def run_export(folder: Path, tmp_path: Path) -> Result:
    """Run `flarefleet export` for the job in `folder`."""
    words = ["export", str(folder), str(tmp_path / "out"), "--site", "a", "--site", "b"]
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(
    ("code", "location"),
    [
        ("value = 1\ndef broken(:\n", "2: SyntaxError: invalid syntax"),
        ("import no_such_package\n", "1: ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_an_error_in_a_package_is_reported_by_file_and_line(
    folder: Path, tmp_path: Path, code: str, location: str
) -> None:
    (package,) = packages_of(folder)
    (package / "client.py").write_text(code)

    error = run_export(folder, tmp_path).exception

    assert isinstance(error, InputError)
    assert error.exit_code == 2
    first, *frames = str(error).splitlines()
    assert first == f"{package}/client.py:{location}"
    assert [line.strip() for line in frames][:2] == [
        f'File "{folder}/job.py", line 11, in recipe',
        f"from {package.name}.client import Client",
    ]
    assert "fl_app" not in str(error)


@pytest.mark.parametrize(
    ("statement", "described"),
    [
        ("len(7)", r"TypeError: object of type 'int' has no len\(\)"),
        ("raise SystemExit('no data')", "SystemExit: no data"),
    ],
)
def test_an_exception_of_the_recipe_is_reported_by_file_and_line(
    folder: Path, tmp_path: Path, statement: str, described: str
) -> None:
    text = (folder / "job.py").read_text()
    (folder / "job.py").write_text(text.replace("    job = FedJob", f"    {statement}\n    job = FedJob"))

    error = run_export(folder, tmp_path).exception

    assert isinstance(error, InputError)
    assert re.match(rf"{folder}/job\.py:\d+: {described}\n", str(error))
