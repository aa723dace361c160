"""`flarefleet demo` with real processes: its results, and that no process is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from deploy.checkout import CHECKOUT
from deploy.demo.charts import percent
from deploy.demo.report import Report
from deploy.runtimes.process.run_folder import ProcessRunFolder
from fl_app.jobs.hospital.job import HospitalParameters
from tests.unit.hospital.averaging import Averaged, average

pytestmark = pytest.mark.federation

PROJECT_FILE = CHECKOUT / "project.yml"


@dataclass(frozen=True)
class FinishedDemo:
    """A finished demo."""

    workspace: Path
    result: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> Path:
        """The folder of its results."""
        return (self.workspace / "hospitals" / "demo" / "latest").resolve()

    @property
    def report(self) -> Report:
        """Its report."""
        return Report.model_validate_json((self.folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    """The demo without options."""
    workspace = tmp_path_factory.mktemp("demo") / "workspace"
    finished = FinishedDemo(workspace, _demo(workspace))
    assert finished.result.returncode == 0, finished.result.stderr
    return finished


@pytest.fixture(scope="module")
def expected(finished: FinishedDemo) -> Averaged:
    """The same training in one process."""
    torch.set_num_threads(1)
    return average(HospitalParameters(), hospitals=len(finished.report.hospitals))


def test_the_federated_model_is_almost_as_good_as_the_central_one(finished: FinishedDemo) -> None:
    report = finished.report

    assert report.federated.accuracy > report.central.accuracy - 0.02
    assert report.federated.accuracy > report.mean_alone + 0.10


def test_the_model_equals_the_same_averaging_in_one_process(
    finished: FinishedDemo, expected: Averaged
) -> None:
    stored = torch.load(finished.folder / finished.report.files.model, weights_only=True)["model"]

    assert stored.keys() == expected.weights.keys()
    for name, value in expected.weights.items():
        torch.testing.assert_close(stored[name], value, rtol=0, atol=1e-5)


def test_every_hospital_reports_the_accuracy_of_each_round(
    finished: FinishedDemo, expected: Averaged
) -> None:
    report = finished.report

    assert report.sites_agree
    assert list(report.global_accuracy) == pytest.approx(expected.global_accuracy)
    for hospital, accuracy in zip(report.hospitals, expected.own_accuracy, strict=True):
        assert list(hospital.own_accuracy) == pytest.approx(accuracy)


def test_the_files_of_the_report_exist(finished: FinishedDemo) -> None:
    report = finished.report
    page = (finished.folder / "report.html").read_text(encoding="utf-8")

    assert Path(report.files.folder) == finished.folder
    assert report.job_id in page
    for hospital in report.hospitals:
        assert list((finished.folder / report.files.tensorboard / hospital.name).glob("events*"))
        assert (finished.folder / report.files.logs / f"{hospital.name}.log").stat().st_size > 0
    assert report.files.best_model is not None
    assert (finished.folder / report.files.best_model).exists()
    assert [step.name for step in report.steps] == ["check", "provision", "up", "submit", "down", "compare"]
    assert all(step.seconds > 0 for step in report.steps)


def test_its_only_job_starts_without_a_prepared_process(finished: FinishedDemo) -> None:
    report = finished.report
    logs = [file.read_text(encoding="utf-8") for file in (finished.folder / report.files.logs).iterdir()]

    assert sum("Launch the job in process ID" in log for log in logs) == len(report.hospitals) + 1
    assert not any("(forked)" in log for log in logs)


def test_the_results_and_their_paths_are_printed(finished: FinishedDemo) -> None:
    for accuracy in (finished.report.federated.accuracy, finished.report.central.accuracy):
        assert percent(accuracy) in finished.result.stdout
    assert str(finished.folder / "report.html") in finished.result.stdout
    assert f"tensorboard --logdir {finished.folder / 'tb_events'}" in finished.result.stdout


def test_the_results_contain_no_key(finished: FinishedDemo) -> None:
    for file in finished.folder.rglob("*"):
        assert file.suffix != ".key"
        assert not file.is_file() or b"PRIVATE KEY" not in file.read_bytes()


def test_no_process_is_left(finished: FinishedDemo) -> None:
    assert _left_behind(finished.workspace) == []


def test_a_second_run_with_fewer_hospitals_keeps_the_results_of_the_first(
    finished: FinishedDemo, tmp_path: Path
) -> None:
    first = finished.folder

    again = _demo(finished.workspace, "--json", "--set", "rounds=1", project=_two_hospitals(tmp_path))

    assert again.returncode == 0, again.stderr
    assert finished.folder != first
    assert (first / "report.html").exists()
    assert json.loads(again.stdout) == json.loads(
        (finished.folder / "report.json").read_text(encoding="utf-8")
    )
    assert finished.report.rounds == 1
    assert [hospital.name for hospital in finished.report.hospitals] == ["hospital-1", "hospital-2"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    with _running_demo(tmp_path) as demo:
        demo.send_signal(number)
        rest = demo.communicate(timeout=60)[1]

    assert demo.returncode == 130
    assert "Traceback" not in rest
    assert "all processes of the federation stopped" in rest
    assert _left_behind(tmp_path) == []


def test_a_failed_job_is_reported_and_no_process_is_left(tmp_path: Path) -> None:
    with _running_demo(tmp_path) as demo:
        # A process that is killed is started again, until it was killed several times without progress.
        deadline = time.monotonic() + 150
        while demo.poll() is None and time.monotonic() < deadline:
            for process in _job_processes(tmp_path, "hospital-2"):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.1)
        rest = demo.communicate(timeout=30)[1]

    assert demo.returncode == 1
    assert re.search(r"the job \S+ ended FINISHED:(?!COMPLETED)\S+", rest), rest
    assert "Internal error" not in rest
    assert _left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "rounds=0"), "rounds"),
        (("--set", "epochs=2"), "did you mean local_epochs"),
        (("--port", "80"), "1024"),
    ],
)
def test_an_invalid_argument_is_rejected_before_anything_is_created(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    workspace = tmp_path / "workspace"

    refused = _demo(workspace, *arguments)

    assert refused.returncode == 2
    assert message in refused.stderr
    assert not workspace.exists()


def _demo(workspace: Path, *arguments: str, project: Path = PROJECT_FILE) -> subprocess.CompletedProcess[str]:
    command = _command(workspace, *arguments, project=project)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


def _command(workspace: Path, *arguments: str, project: Path = PROJECT_FILE) -> list[str]:
    program = [sys.executable, "-m", "deploy.cli.app"]
    return [*program, "--project", str(project), "--workspace", str(workspace), "demo", *arguments]


def _two_hospitals(folder: Path) -> Path:
    """Write the project.yml of the demo with two of its four hospitals."""
    project = folder / "project.yml"
    text = PROJECT_FILE.read_text(encoding="utf-8")
    project.write_text(re.sub(r"  - name: hospital-[34]\n.*\n.*\n", "", text), encoding="utf-8")
    return project


@contextmanager
def _running_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a long demo of two hospitals after its step `up`; interrupt it at the end of the block."""
    process = subprocess.Popen(
        _command(folder, "--set", "rounds=1000", project=_two_hospitals(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        seen = ""
        while " up " not in seen:
            line = process.stderr.readline()
            assert line, f"the demo never finished the step up: {seen}"
            seen += line
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def _left_behind(workspace: Path) -> list[psutil.Process]:
    """Return the processes of the federation of project.yml and of its copies."""
    folders = [ProcessRunFolder(state) for state in workspace.rglob("run/process")]
    assert folders, "no federation was started"
    return [process for folder in folders for process in folder.processes()]


def _job_processes(workspace: Path, site: str) -> list[psutil.Process]:
    """Return the job processes of a site."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if "fl_app.launchers.site_job" in command and str(workspace) in command and site in command.split():
            found.append(process)
    return found
