"""Completion of arguments in a shell: what it offers, and that it never fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from deploy.cli import admin_session
from deploy.cli import app as program
from deploy.cli.commands import COMMANDS
from deploy.cli.completion import join_words
from deploy.cli.context import Context
from deploy.project.creation import Answers, create_project
from deploy.session import known_jobs

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complete:
    """Return the completions of a command line in a folder with a project.yml, as bash asks for them."""
    create_project(
        Answers("pilot", "localhost", 8002, ("north", "south"), ("admin@a.org", "lead@a.org")),
        tmp_path / "project.yml",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(known_jobs, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(os, "environ", {**os.environ, "_FLAREFLEET_COMPLETE": "complete_bash"})

    def complete(*words: str) -> list[str]:
        os.environ["COMP_WORDS"] = "\n".join(["flarefleet", *words])
        os.environ["COMP_CWORD"] = str(len(words))
        os.environ.pop("_FLAREFLEET_COMPLETE_AFTER", None)
        join_words(os.environ)
        with pytest.raises(SystemExit):
            program.app(prog_name="flarefleet")
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out.split()

    return complete


def test_jobs_are_completed_by_name(complete: Complete) -> None:
    assert complete("submit", "fed") == ["fedadagrad", "fedprox-vla"]
    assert "hospital" in complete("simulate", "")


def test_own_jobs_are_completed_by_path(complete: Complete, tmp_path: Path) -> None:
    for name in ("mine", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "job.py").touch()
    (tmp_path / "train.py").touch()

    assert complete("submit", "./") == ["./data/", "./mine", "./train.py"]
    assert complete("submit", f"{tmp_path}/m") == [f"{tmp_path}/mine"]


def test_parameters_of_the_job_are_completed(complete: Complete) -> None:
    names = complete("submit", "hospital", "--set", "")
    assert {"rounds=", "dataset="} <= set(names)
    assert complete("submit", "hospital", "--set", "rou") == ["rounds="]
    assert complete("submit", "--set", "") == []  # the job is not known yet


@pytest.mark.parametrize("name", ["./mine", "mine/job.py", "mine.zip", "."])
def test_completion_does_not_run_the_code_of_a_job_that_is_named_by_its_path(
    complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "mine").mkdir()
    for file in (tmp_path / "mine" / "job.py", tmp_path / "job.py"):
        file.write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")

    assert complete("submit", name, "--set", "") == []
    assert not (tmp_path / "executed").exists()


OWN_JOB = """
from typing import Annotated, Literal
from fl_app.jobs.parameters import QuorumParameters
from mine_package.settings import Common
open("executed", "w")
Mode = Literal["min", "max"]

class Base(Common):
    seed: int = 0

class Mine(Base, QuorumParameters):
    rate: float = 0.1
    '''Step size'''
    mode: Mode | None = None
    deep: Annotated[bool, "of layers"] = False

PARAMETERS = Mine
"""


@pytest.mark.parametrize("path", ["./mine", "mine/job.py"])
def test_parameters_of_an_own_job_are_completed_from_its_source(
    complete: Complete, tmp_path: Path, path: str
) -> None:
    (tmp_path / "mine" / "mine_package").mkdir(parents=True)
    (tmp_path / "mine" / "job.py").write_text(OWN_JOB)
    settings = "open('executed', 'w')\nclass Common:\n    rounds: int = 5\n    _private: int = 0\n"
    (tmp_path / "mine" / "mine_package" / "settings.py").write_text(settings)

    names = ["rounds=", "seed=", "quorum=", "quorum_grace=", "rate=", "mode=", "deep="]
    assert complete("submit", path, "--set", "") == names
    assert complete("submit", path, "--set", "mode", "=") == ["min", "max"]
    assert complete("simulate", path, "--set", "deep", "=", "t") == ["true"]
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("source", ["PARAMETERS = PARAMETERS", "PARAMETERS = 1", "def (", "import argparse"])
def test_a_job_that_is_not_understood_completes_no_parameters(
    complete: Complete, tmp_path: Path, source: str
) -> None:
    (tmp_path / "mine.py").write_text(source)
    assert complete("submit", "mine.py", "--set", "") == []


def test_the_choices_of_a_parameter_are_completed(complete: Complete) -> None:
    # bash splits a word at =, and completes what follows.
    assert complete("submit", "hospital", "--set", "dataset", "=") == ["breast_cancer", "digits"]
    assert complete("submit", "hospital", "--set", "dataset", "=", "dig") == ["digits"]
    assert complete("submit", "hospital", "--set", "rounds", "=", "5", "--site", "n") == ["north"]


def test_sites_administrators_runtimes_and_guard_levels_are_completed(complete: Complete) -> None:
    assert complete("submit", "hospital", "--site", "") == ["north", "south"]
    assert complete("images", "build", "--site", "") == ["flare-server", "north", "south"]
    assert complete("restart", "s") == ["south"]
    assert complete("jobs", "--admin", "l") == ["lead@a.org"]
    assert complete("up", "--runtime", "") == ["process", "docker", "kubernetes"]
    assert complete("submit", "hospital", "--guard", "untrained", "=", "w") == ["warn"]


def test_ids_of_jobs_that_a_session_has_seen_are_completed(complete: Complete, tmp_path: Path) -> None:
    known_jobs.remember_jobs(tmp_path / "project.yml", {"aa11": "hospital, RUNNING"})
    known_jobs.remember_jobs(
        tmp_path / "project.yml", {"bb22": "hospital, RUNNING", "aa11": "hospital, DONE"}
    )

    assert complete("watch", "") == ["latest", "aa11", "bb22"]
    assert complete("logs", "b") == ["bb22"]
    assert complete("logs", "n") == ["north"]


def test_a_session_remembers_its_jobs_for_the_project_of_the_working_directory(
    complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def open_session(kit: object) -> Iterator[object]:
        os.chdir("/")  # as a real session does
        yield SimpleNamespace(seen={"dd44": "hospital, RUNNING"})
        os.chdir(tmp_path)

    monkeypatch.setattr("deploy.session.open_session", open_session)
    monkeypatch.setattr(admin_session, "find_kit", lambda *_: None)
    with admin_session.admin_session(Context(Path("project.yml"), Path("workspace")), None, None):
        pass

    assert complete("watch", "d") == ["dd44"]


def test_a_kit_has_its_own_jobs(complete: Complete, tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    known_jobs.remember_jobs(kit, {"cc33": "hospital, RUNNING"})

    assert complete("watch", "--admin-kit", str(kit), "c") == ["cc33"]
    assert complete("watch", "c") == []
    (kit / "startup").mkdir(parents=True)
    admin = '{"admin": {"username": "lead@a.org", "host": "localhost", "port": 8002}}'
    (kit / "startup" / "fed_admin.json").write_text(admin)
    os.environ["FLAREFLEET_ADMIN_KIT"] = str(kit)
    assert complete("watch", "c") == ["cc33"]
    assert complete("--project", "project.yml", "watch", "c") == []


def test_the_project_may_be_named_after_the_command(complete: Complete, tmp_path: Path) -> None:
    other = tmp_path / "other" / "project.yml"
    create_project(Answers("other", "localhost", 8002, ("east",), ("a@b.org",)), other)

    assert complete("--project", str(other), "logs", "e") == ["east"]
    assert complete("logs", "--project", str(other), "e") == ["east"]


@pytest.mark.parametrize("content", [None, "", "name: [", "a: 1"])
def test_a_missing_or_invalid_project_completes_nothing(
    complete: Complete, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "project.yml"
    file.unlink() if content is None else file.write_text(content)

    assert complete("submit", "hospital", "--site", "") == []
    assert complete("submit", "./no/such/folder", "--set", "") == []


def test_remembered_jobs_are_bounded_private_and_survive_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_jobs, "CACHE", tmp_path)
    known_jobs.remember_jobs(tmp_path, {str(number): "x" for number in range(known_jobs.MOST + 5)})
    (file,) = (tmp_path / "jobs").iterdir()

    assert list(known_jobs.known_jobs(tmp_path)) == [str(number) for number in range(5, known_jobs.MOST + 5)]
    assert file.stat().st_mode & 0o077 == 0
    file.write_text("{")
    assert known_jobs.known_jobs(tmp_path) == {}


@pytest.mark.parametrize(
    ("words", "number", "joined"),
    [
        (["f", "--set", "a", "=", "b", "x"], 5, (["f", "--set", "a=b", "x"], 3)),
        (["f", "--set", "a", "="], 3, (["f", "--set", "a="], 2)),
        (["f", "--set=a", "x"], 3, (["f", "--set=a", "x"], 3)),
        (["f"], 1, (["f"], 1)),
        (["f", "--set", "a", "=", "b", ""], 5, (["f", "--set", "a=b", ""], 3)),
    ],
)
def test_words_that_bash_splits_at_an_equals_sign_are_joined(
    words: list[str], number: int, joined: tuple[list[str], int]
) -> None:
    environment = {
        "_FLAREFLEET_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(number),
    }
    join_words(environment)

    assert (environment["COMP_WORDS"].split("\n"), int(environment["COMP_CWORD"])) == joined


def test_a_real_bash_completes_a_choice(tmp_path: Path) -> None:
    folder = Path(sys.executable).parent
    script = """
    PATH=$1:$PATH
    source <(flarefleet --show-completion bash)
    COMP_WORDS=(flarefleet simulate hospital --set dataset = di) COMP_CWORD=6
    _flarefleet_completion flarefleet
    echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        ["bash", "-c", script, "bash", folder],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("digits", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_installation_of_completion_is_an_option_of_the_program_alone(command: str) -> None:
    assert "completion" not in CliRunner().invoke(program.app, [command, "--help"]).output
