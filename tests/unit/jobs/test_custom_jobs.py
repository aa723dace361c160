"""A job in a folder of a user's own: found by its path, refused with words, and its packages travel."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import Participants, exporter
from fl_app.jobs.custom_jobs import load
from fl_app.jobs.registry import UnknownJob, find

JOB = """
from fl_app.jobs.parameters import JobParameters

DESCRIPTION = "Mine"

class PARAMETERS(JobParameters):
    rounds: int = 3
    '''How often.'''

def recipe(parameters, sites):
    from {package}.client import Client
    from nvflare.app_common.workflows.cyclic_ctl import CyclicController
    from nvflare.job_config.api import FedJob
    from nvflare.recipe.spec import Recipe
    job = FedJob(name="mine", min_clients=len(sites))
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
    """A job of another name in every test: Python imports a package but once."""
    package = f"mine_{next(_numbers)}"
    folder = tmp_path / package.replace("_", "-")
    (folder / package / "tests").mkdir(parents=True)
    (folder / "job.py").write_text(JOB.format(package=package))
    (folder / package / "__init__.py").touch()
    (folder / package / "client.py").write_text(CLIENT.format(package=package))
    (folder / package / "lazy.py").write_text("value = 1\n")
    (folder / package / "words.txt").write_text("data of the package\n")
    (folder / package / "tests" / "test_it.py").touch()
    (folder / "test_mine.py").touch()
    before = list(sys.path)
    yield folder
    sys.path[:] = before


def test_a_folder_is_found_by_its_path_and_named_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    job = find(f"./{folder.name}")
    assert (job.name, job.description, job.folder) == (folder.name, "Mine", folder)
    assert read_parameters(job, ["rounds=7"]).rounds == 7


def test_a_folder_named_without_a_slash_is_recognised_in_the_refusal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UnknownJob, match=rf"did you mean the folder \./{folder.name}\?"):
        find(folder.name)


def test_its_whole_package_travels_and_its_tests_and_job_py_do_not(folder: Path, tmp_path: Path) -> None:
    job = find_job(str(folder))
    with exporter(job) as making:
        reply = making.export(
            read_parameters(job, ()), Participants(("a", "b"), chosen=False), tmp_path / "out"
        )
    assert reply.folder is not None
    custom = reply.folder / "app" / "custom"
    travelled = sorted(str(file.relative_to(custom)) for file in custom.rglob("*") if file.is_file())
    (package,) = {name.partition("/")[0] for name in travelled}
    assert travelled == [f"{package}/{name}" for name in ("__init__.py", "client.py", "lazy.py", "words.txt")]
    client = json.loads((reply.folder / "app" / "config" / "config_fed_client.json").read_text())
    assert client["executors"][0]["executor"]["path"] == f"{package}.client.Client"


def test_a_folder_without_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no job\.py; make a job: flarefleet new-job"):
        find_job(f"{tmp_path}/nothing")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def recipe(:", "cannot be imported: SyntaxError"),
        ("import no_such_package", "cannot be imported: ModuleNotFoundError: .*no_such_package"),
        ("DESCRIPTION = 'x'", "says no PARAMETERS, recipe"),
        ("DESCRIPTION = PARAMETERS = recipe = 1", "PARAMETERS must be a subclass of"),
        (
            "from fl_app.jobs.parameters import JobParameters\nDESCRIPTION = recipe = ''\n"
            "class PARAMETERS(JobParameters):\n    rounds: int\n",
            "PARAMETERS: without a default: rounds",
        ),
    ],
)
def test_a_job_py_that_cannot_be_used_is_refused_with_its_mistake(folder: Path, text: str, why: str) -> None:
    (folder / "job.py").write_text(text)
    with pytest.raises(InputError, match=rf"job\.py: {why}"):
        find_job(str(folder))


def test_a_package_whose_name_is_taken_is_refused(folder: Path) -> None:
    (folder / "json").mkdir()
    (folder / "json" / "__init__.py").touch()
    with pytest.raises(UnknownJob, match="there is another package json already"):
        load(folder)
