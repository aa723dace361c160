"""Jobs that data scientists have: scripts of NVFlare, exported jobs, and archives of them."""

from __future__ import annotations

import json
import multiprocessing
import sys
import zipfile
from pathlib import Path
from typing import Any

import nvflare.recipe  # noqa: F401 - so that each forked process has it
import pytest
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe  # noqa: F401
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.errors import Failed, InputError
from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import JobSites, export_process, participants, submit
from fl_app.jobs.description import InvalidJob
from fl_app.jobs.export import ExportReply, ExportRequest, export
from fl_app.jobs.registry import find
from fl_app.jobs.user_code import UserCodeError

RECIPE = """
import argparse
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import PocEnv, ProdEnv, SimEnv

parser = argparse.ArgumentParser()
parser.add_argument("--num_rounds", type=int, default=2)
arguments = parser.parse_args()
recipe = NumpyFedAvgRecipe(
    name="hello", model=[[0.0, 0.0]], train_script="client.py", min_clients=2, num_rounds=arguments.num_rounds
)
"""
FED_JOB = """
from nvflare.app_common.workflows.cyclic_ctl import CyclicController
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import ScriptRunner

job = FedJob(name="hello", min_clients=2)
job.to_server(CyclicController(num_rounds=2))
for site in ("site-1", "site-2"):
    job.to(ScriptRunner(script="client.py"), site)
"""
AFTER = "\nraise RuntimeError('the script went on')\n"
SCRIPTS = {
    "in the simulator": RECIPE + "recipe.execute(SimEnv(num_clients=2))" + AFTER,
    "in production": RECIPE + "recipe.execute(ProdEnv(startup_kit_location='/tmp'))" + AFTER,
    "in the production of its author": RECIPE
    + "recipe.execute(ProdEnv('/home/author/kit', login_timeout=9))"
    + AFTER,
    "as run": RECIPE + "recipe.run(PocEnv(num_clients=2), {'model': 1})" + AFTER,
    "exported": RECIPE + "recipe.export('somewhere')" + AFTER,
    "not run": RECIPE,
    "in main": "def main():\n"
    + RECIPE.replace("\n", "\n    ")
    + "\nif __name__ == '__main__':\n    main()\n",
    "job simulated": FED_JOB + "job.simulator_run('somewhere')" + AFTER,
    "job exported": FED_JOB + "job.export_job('somewhere')" + AFTER,
    "job not run": FED_JOB,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-job"
    folder.mkdir()
    (folder / "client.py").write_text("import helper\n")
    (folder / "helper.py").write_text("VALUE = 1\n")
    return folder


def _answer(source: str, arguments: tuple[str, ...], into: Path, sites: tuple[str, ...]) -> Any:
    job = find(source)
    parameters = {"arguments": arguments} if job.is_script else {}
    request = ExportRequest(parameters=parameters, sites=sites, only_these=bool(sites), folder=into)
    try:
        return export(job, request)
    except (UserCodeError, InvalidJob) as error:
        return error


def exported(source: Path, into: Path, *arguments: str, sites: tuple[str, ...] = ()) -> ExportReply:
    """Export a job in a process of its own, as `flarefleet submit` does; raise what it raises."""
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        answer = pool.apply(_answer, (str(source), arguments, into, sites))
    if isinstance(answer, Exception):
        raise answer
    assert isinstance(answer, ExportReply)
    return answer


def read(file: Path) -> Any:
    return json.loads(file.read_text())


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_exported_where_it_would_run_its_job(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "job.py").write_text(SCRIPTS[name])

    reply = exported(folder, tmp_path / "out")

    assert reply.folder == tmp_path / "out" / "hello"
    assert read(reply.folder / "meta.json")["min_clients"] == reply.min_clients == 2
    assert reply.sites == (("site-1", "site-2") if name.startswith("job") else ())
    assert {file.name for file in folder.iterdir()} == {"job.py", "client.py", "helper.py"}
    assert list(reply.folder.glob("*/custom/client.py"))


def test_a_script_has_its_arguments_and_may_have_any_name(folder: Path, tmp_path: Path) -> None:
    script = folder / "fedavg.py"
    script.write_text(SCRIPTS["in the simulator"])

    reply = exported(script, tmp_path / "out", "--num_rounds", "7", sites=("a", "b"))

    assert reply.folder is not None
    server = read(reply.folder / "app" / "config" / "config_fed_server.json")
    assert server["workflows"][0]["args"]["num_rounds"] == 7
    assert read(reply.folder / "meta.json")["deploy_map"] == {"app": ["server", "a", "b"]}


def test_a_job_that_names_its_sites_cannot_be_given_others(folder: Path, tmp_path: Path) -> None:
    (folder / "job.py").write_text(SCRIPTS["job not run"])
    with pytest.raises(ValueError, match=r"it names its sites itself \(site-1, site-2\); omit --site"):
        exported(folder, tmp_path / "out", sites=("a",))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_package", r"job\.py:1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("int('one')", r"job\.py:1: ValueError: invalid literal"),
        ("print('hello')", r"job\.py makes no job\. A script of NVFlare calls recipe\.execute"),
        (FED_JOB + FED_JOB, r"job\.py makes 2 jobs and runs none of them"),
    ],
    ids=("import", "value", "no job", "two jobs"),
)
def test_a_script_without_a_job_is_rejected(folder: Path, tmp_path: Path, text: str, why: str) -> None:
    (folder / "job.py").write_text(text)
    with pytest.raises(ValueError, match=why):
        exported(folder, tmp_path / "out")


def test_the_last_output_of_a_failed_script_is_shown(folder: Path, tmp_path: Path) -> None:
    (folder / "job.py").write_text("import sys\nprint('reading data')\nsys.exit('no data in ./data')\n")
    job = find_job(str(folder))
    with pytest.raises(InputError) as caught, export_process(job) as exporting:
        exporting.export(read_parameters(job, ()), JobSites((), chosen=False), tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{folder}/job.py:3: SystemExit: no data in ./data"
    assert lines[-2:] == ["The script's last output:", "  reading data"]


@pytest.fixture
def job_folder(folder: Path, tmp_path: Path) -> Path:
    """An exported job."""
    (folder / "job.py").write_text(SCRIPTS["not run"])
    found = exported(folder, tmp_path / "exported").folder
    assert found is not None
    return found


def archive(of: Path, root: Path, into: Path) -> Path:
    with zipfile.ZipFile(into, "w") as made:
        for file in sorted(of.rglob("*")):
            made.write(file, file.relative_to(root))
    return into


def test_an_exported_job_and_its_archives_are_jobs(job_folder: Path, tmp_path: Path) -> None:
    sources = [
        job_folder,
        archive(job_folder, job_folder.parent, tmp_path / "with-folder.zip"),
        archive(job_folder, job_folder, tmp_path / "without-folder.zip"),
    ]
    for number, source in enumerate(sources):
        reply = exported(source, tmp_path / str(number), sites=("a",))
        assert reply.folder == tmp_path / str(number) / "hello"
        assert (reply.folder / "app" / "custom" / "client.py").is_file()
        assert read(reply.folder / "meta.json")["deploy_map"] == {"app": ["server", "a"]}
    assert read(job_folder / "meta.json")["deploy_map"] == {"app": ["@ALL"]}


@pytest.mark.parametrize("name", ["./", "."])
def test_an_archive_may_have_an_entry_for_its_own_folder(job_folder: Path, tmp_path: Path, name: str) -> None:
    file = archive(job_folder, job_folder, tmp_path / "job.zip")
    with zipfile.ZipFile(file, "a") as made:
        made.writestr(name, "")

    assert exported(file, tmp_path / "out").folder == tmp_path / "out" / "hello"


def test_a_configuration_in_another_format_is_checked_like_json(job_folder: Path, tmp_path: Path) -> None:
    config = job_folder / "app" / "config" / "config_fed_server.json"
    document = read(config)
    document["workflows"][0]["args"]["stop_cond"] = "accuracy = 1"
    config.with_suffix(".conf").write_text(json.dumps(document).replace("{", "{\n# HOCON\n", 1))
    config.unlink()
    job = find_job(str(job_folder))
    with pytest.raises(InputError, match="stop_cond"), export_process(job) as exporting:
        exporting.export(read_parameters(job, ()), JobSites((), chosen=False), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "why"),
    [("../outside.txt", "outside.txt is outside of the archive"), ("/etc/x", "the path /etc/x is outside")],
)
def test_an_archive_with_a_path_outside_is_rejected(tmp_path: Path, name: str, why: str) -> None:
    file = tmp_path / "job.zip"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("meta.json", "{}")
        made.writestr(name, "")
    with pytest.raises(InvalidJob, match=why):
        exported(file, tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"other.txt": ""}, "has no job; an archive of a job has meta.json at its top"),
        ({"a/meta.json": "{}", "b/meta.json": "{}"}, "has 2 jobs"),
        ({"meta.json": "{"}, r"meta\.json: is invalid"),
        ({"meta.json": '{"name": "../x", "deploy_map": {}}'}, "has no valid name or no deploy_map"),
        (None, "is not a valid zip archive"),
    ],
)
def test_an_archive_without_a_job_is_rejected(tmp_path: Path, files: dict[str, str] | None, why: str) -> None:
    file = tmp_path / "job.zip"
    if files is None:
        file.write_text("no archive")
    else:
        with zipfile.ZipFile(file, "w") as made:
            for name, text in files.items():
                made.writestr(name, text)
    with pytest.raises(InvalidJob, match=why):
        exported(file, tmp_path / "out")


def test_a_path_without_a_job_is_rejected_with_the_reason(tmp_path: Path, job_folder: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for name, why in {
        "nowhere": "/nowhere: does not exist",
        "nowhere.py": "/nowhere.py: does not exist",
        "notes.txt": "is not a job; a file must be a script",
        "exported": f"did you mean {job_folder}?",
        ".": "holds neither job.py",
    }.items():
        with pytest.raises(InputError) as caught:
            find_job(f"{tmp_path}/{name}")
        assert why in str(caught.value)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["hospital", "rounds=3"], "rounds=3: is not a parameter without --set; write --set rounds=3"),
        (["hospital", "--", "--rounds", "3"], "write --set rounds=VALUE"),
        (["hospital", "more"], "more: unexpected argument; a parameter is set with --set NAME=VALUE"),
        (["JOB/job.py", "--set", "num_rounds=3"], "pass the script's arguments after --"),
        (["JOB/../exported/hello", "--set", "rounds=3"], "has no parameters of Flarefleet"),
    ],
)
def test_parameters_in_the_wrong_form_are_rejected_with_the_right_one(
    job_folder: Path, words: list[str], why: str
) -> None:
    folder = str(job_folder.parents[1] / "my-job")
    for command in ("submit", "simulate"):
        error = CliRunner().invoke(app, [command, *(word.replace("JOB", folder) for word in words)]).exception
        assert isinstance(error, InputError)
        assert why in str(error)


def test_a_submission_needs_the_sites_that_the_job_names(tmp_path: Path) -> None:
    session: Any = object()
    named = ExportReply(folder=tmp_path, min_clients=2, sites=("a", "b"))
    assert participants(named, ("a", "c")) == ("a",)
    with pytest.raises(Failed, match="needs at least 2 sites, and 1 of its sites a, b are registered: a"):
        submit(session, named, ("a", "c"))
    with pytest.raises(Failed, match="the job needs b, and 1 are registered: a"):
        submit(session, ExportReply(folder=tmp_path, min_clients=1, mandatory=("b",)), ("a",))


def test_the_command_line_describes_one_job(folder: Path) -> None:
    (folder / "job.py").write_text(RECIPE)
    run = CliRunner().invoke(app, ["jobs", "--available", "hospital"])
    assert run.exit_code == 0, run.output
    rows = [line.split("  ") for line in run.output.splitlines()]
    found = {row[1]: [cell.strip() for cell in row[2:] if cell] for row in rows if len(row) > 3}
    assert found["algorithm"][:2] == ["fedavg", "fedavg|fedprox|fedadagrad"]
    assert found["mu"][:2] == ["not set", "number, at least 0, at most 10"]
    assert "fibonacci" not in run.output

    run = CliRunner().invoke(app, ["jobs", "--available", str(folder)])
    assert f"flarefleet submit {folder} -- --NAME VALUE" in run.output
    assert isinstance(CliRunner().invoke(app, ["jobs", "--available", "hospitl"]).exception, InputError)
    assert "fl_app.jobs.fedprox_vla.policy" not in sys.modules


def test_an_exported_job_is_exported_without_a_project_and_never_overwritten(
    job_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, ["export", str(job_folder), "out"])
    assert run.exit_code == 0, run.output
    again = CliRunner().invoke(app, ["export", str(job_folder), "out"]).exception
    assert str(again) == f"{tmp_path}/out/hello: already exists; choose another folder"
