"""The command in the report that repeats a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.demo import scenario
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.hospital.job import HospitalParameters


class Called(Exception):  # noqa: N818 - it ends the command
    """The command calls the demo."""


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ((), None),
        (("rounds=3", "seed=7"), 8123),
        (("algorithm=fedprox", "mu=0.5"), None),
        (("quorum=0.5",), None),
    ],
)
def test_the_command_repeats_the_run(
    settings: tuple[str, ...], port: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_demo(*arguments: Any) -> None:
        raise Called(*arguments)

    monkeypatch.setattr(scenario, "run_demo", run_demo)
    project, workspace = tmp_path / "my project.yml", Path("another workspace")
    job = find_job(scenario.JOB)
    parameters = read_parameters(job, settings)
    assert isinstance(parameters, HospitalParameters)

    command = scenario.command(project, workspace, parameters, port)
    answer = CliRunner().invoke(app, shlex.split(command)[1:])

    assert isinstance(answer.exception, Called), answer.output
    *paths, given, given_port, _ = answer.exception.args
    assert (paths, given_port) == ([project, workspace], port)
    assert read_parameters(job, given) == parameters
