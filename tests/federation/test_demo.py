"""`flarefleet demo` on real processes: what it comes to, and that nothing of it stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from deploy.demo.charts import percent
from deploy.demo.report import Report
from deploy.runtimes.process.run_folder import ProcessRunFolder
from fl_app.jobs.hospital.job import HospitalParameters
from tests.unit.hospital.averaging import Averaged, average
from tests.waiting import eventually

pytestmark = pytest.mark.federation

PROJECT_FILE = Path(__file__).parents[2] / "project.yml"


@dataclass(frozen=True)
class Told:
    """A demo that has ended."""

    workspace: Path
    result: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> Path:
        """Its results."""
        return (self.workspace / "hospitals" / "demo" / "latest").resolve()

    @property
    def report(self) -> Report:
        """What it measured."""
        return Report.model_validate_json((self.folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The demo as a newcomer runs it."""
    workspace = tmp_path_factory.mktemp("demo") / "workspace"
    told = Told(workspace, _demo(workspace))
    assert told.result.returncode == 0, told.result.stderr
    return told


@pytest.fixture(scope="module")
def expected(told: Told) -> Averaged:
    """The same training in one process."""
    torch.set_num_threads(1)
    return average(HospitalParameters(), hospitals=len(told.report.hospitals))


def test_together_hospitals_come_near_to_central_training_and_far_above_each_alone(told: Told) -> None:
    report = told.report

    assert report.federated.accuracy > report.central.accuracy - 0.02
    assert report.federated.accuracy > report.mean_alone + 0.10


def test_the_federation_s_model_is_that_of_the_same_averaging_in_one_process(
    told: Told, expected: Averaged
) -> None:
    stored = torch.load(told.folder / told.report.files.model, weights_only=True)["model"]

    assert stored.keys() == expected.weights.keys()
    for name, value in expected.weights.items():
        torch.testing.assert_close(stored[name], value, rtol=0, atol=1e-5)


def test_every_hospital_measured_in_each_round_what_the_averaging_comes_to(
    told: Told, expected: Averaged
) -> None:
    report = told.report

    assert report.sites_agree
    assert list(report.global_accuracy) == pytest.approx(expected.global_accuracy)
    for hospital, accuracy in zip(report.hospitals, expected.own_accuracy, strict=True):
        assert list(hospital.own_accuracy) == pytest.approx(accuracy)


def test_the_report_is_of_this_run_and_its_files_are_there(told: Told) -> None:
    report = told.report
    page = (told.folder / "report.html").read_text(encoding="utf-8")

    assert Path(report.files.folder) == told.folder
    assert report.job_id in page
    for hospital in report.hospitals:
        assert list((told.folder / report.files.tensorboard / hospital.name).glob("events*"))
        assert (told.folder / report.files.logs / f"{hospital.name}.log").stat().st_size > 0
    assert report.files.best_model is not None
    assert (told.folder / report.files.best_model).exists()
    assert [step.name for step in report.steps] == ["check", "provision", "up", "submit", "down", "compare"]
    assert all(step.seconds > 0 for step in report.steps)


def test_what_is_printed_is_what_was_measured_and_where_it_lies(told: Told) -> None:
    for accuracy in (told.report.federated.accuracy, told.report.central.accuracy):
        assert percent(accuracy) in told.result.stdout
    assert str(told.folder / "report.html") in told.result.stdout
    assert f"tensorboard --logdir {told.folder / 'tb_events'}" in told.result.stdout


def test_no_key_is_among_the_results(told: Told) -> None:
    for file in told.folder.rglob("*"):
        assert file.suffix != ".key"
        assert not file.is_file() or b"PRIVATE KEY" not in file.read_bytes()


def test_nothing_runs_after_it(told: Told) -> None:
    assert _left_behind(told.workspace) == []


def test_a_second_run_works_and_keeps_the_first_one_s_results(told: Told) -> None:
    first = told.folder

    again = _demo(told.workspace, "--json", "--set", "rounds=1")

    assert again.returncode == 0, again.stderr
    assert told.folder != first
    assert (first / "report.html").exists()
    assert json.loads(again.stdout) == json.loads((told.folder / "report.json").read_text(encoding="utf-8"))
    assert told.report.rounds == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    with _running_demo(tmp_path, "--set", "rounds=1000") as demo:
        _wait_for_line(demo, " up ")
        demo.send_signal(number)
        rest = demo.communicate(timeout=60)[1]

    assert demo.returncode == 130
    assert "Traceback" not in rest
    assert "every process of the federation stopped" in rest
    assert _left_behind(tmp_path) == []


def test_a_demo_whose_job_fails_says_so_and_leaves_nothing_running(tmp_path: Path) -> None:
    with _running_demo(tmp_path, "--set", "rounds=1000") as demo:
        _wait_for_line(demo, " up ")
        eventually(lambda: _job_processes(tmp_path, "hospital-2"), what="hospital-2 takes part in the job")
        for process in _job_processes(tmp_path, "hospital-2"):
            process.kill()
        rest = demo.communicate(timeout=120)[1]

    assert demo.returncode == 1
    assert re.search(r"the job \S+ ended FINISHED:(?!COMPLETED)\S+", rest), rest
    assert "fault of Flarefleet" not in rest
    assert _left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--set", "rounds=0"), "rounds"),
        (("--set", "epochs=2"), "did you mean local_epochs"),
        (("--port", "80"), "1024"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_made(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    workspace = tmp_path / "workspace"

    refused = _demo(workspace, *arguments)

    assert refused.returncode == 2
    assert complaint in refused.stderr
    assert not workspace.exists()


def _demo(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(workspace, *arguments), capture_output=True, text=True, check=False, timeout=280
    )


def _command(workspace: Path, *arguments: str) -> list[str]:
    program = [sys.executable, "-m", "deploy.cli.app"]
    return [*program, "--project", str(PROJECT_FILE), "--workspace", str(workspace), "demo", *arguments]


class _running_demo:  # noqa: N801 - reads as what it is
    """A demo that still runs; it is ended with the block."""

    def __init__(self, workspace: Path, *arguments: str) -> None:
        self._command = _command(workspace, *arguments)

    def __enter__(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.communicate(timeout=60)


def _wait_for_line(demo: subprocess.Popen[str], text: str) -> None:
    assert demo.stderr is not None
    seen = []
    for line in demo.stderr:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"the demo never said {text!r}: {''.join(seen)}")


def _run_folders(workspace: Path) -> Iterator[ProcessRunFolder]:
    """Of the federation of project.yml, and of its copies on other ports."""
    for state in workspace.rglob("run/process"):
        yield ProcessRunFolder(state)


def _left_behind(workspace: Path) -> list[psutil.Process]:
    folders = list(_run_folders(workspace))
    assert folders, "nothing was ever started"
    return [process for folder in folders for process in folder.processes()]


def _job_processes(workspace: Path, site: str) -> list[psutil.Process]:
    found = []
    for folder in _run_folders(workspace):
        for process in folder.processes():
            try:
                command = process.cmdline()
            except psutil.Error:
                continue
            if "fl_app.launchers.site_job" in command and any(site in word for word in command):
                found.append(process)
    return found
