"""The commands of the data scientist's guide, in their order, with a kit and no project.yml."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from deploy.session import AdminKit, open_session
from deploy.session.session import RUNNING
from deploy.tensorboard import program
from tests.documented import DOCS, commands_in
from tests.event_files import read_run
from tests.federation.federation import ADMIN
from tests.federation.jobs.commands import BIN, ID, SITES, JobsFederation, run_here
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.extended]

Output = subprocess.CompletedProcess[str]

JOB = """import argparse

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import SimEnv

parser = argparse.ArgumentParser()
parser.add_argument("--num_rounds", type=int, default=2)
rounds = parser.parse_args().num_rounds
recipe = NumpyFedAvgRecipe(
    name="hello-pt", model=[[0.0, 0.0]], train_script="client.py", min_clients=2, num_rounds=rounds
)
recipe.execute(SimEnv(num_clients=2))
"""
"""A script of NVFlare, for the client.py of the folder stock_script."""

LINES = [
    one.line.partition(" #")[0].rstrip()
    for one in commands_in(DOCS / "data-scientist.md")
    if one.line.startswith(("flarefleet ", "pytest "))
]
SIMULATED = "flarefleet simulate hospital"
"""The test of the simulator runs this command."""
CASES = [line for line in LINES if not line.startswith(SIMULATED)]
OUTPUT = {
    "status": r"site-2 +client +ready",
    "jobs --available": "rounds .* Number of rounds",
    "submit hospital": ID.pattern,
    "jobs": "numpy-fedavg  FINISHED:COMPLETED",
    "watch": "numpy-fedavg: FINISHED:COMPLETED",
    "abort": "abort requested",
    "fetch": r"files in \S+/results/numpy-fedavg-\w{8}: .*tb_events",
    "delete": r"numpy-fedavg\) deleted",
    "--differences": r"rounds +\* +5 +2",
    "--csv": "parameters,rounds,2,",
    "--follow": "ClientRunner",
    "logs latest": "==> site-1 <==",
    "tensorboard": r"http://\S+",
    "new-job": "my-job",
    "pytest": "3 passed",
    "simulate ./my-job": "my-job completed with 2 sites",
    "submit ./my-job": "round 10 of 10",
    "submit ./hello-pt": "hello-pt: FINISHED:COMPLETED",
    "submit exported": "hello-pt: FINISHED:COMPLETED",
    "submit hello-pt.zip": "hello-pt: FINISHED:COMPLETED",
    "export": "out/numpy-fedavg",
}
"""Part of a command -> pattern that its output must contain; the first part that is in a command counts."""


class Laptop:
    """A folder in which the commands run, with the jobs that they have submitted."""

    def __init__(self, folder: Path, kit: Path) -> None:
        self.folder = folder
        self._environment = {"FLAREFLEET_ADMIN_KIT": str(kit)}
        self._kit = kit
        self._first = self._second = self._prefix = ""
        self.outputs = {line: self._output(line) for line in CASES}

    def _output(self, line: str) -> Output:
        """Run a line of the page."""
        self._prepare(line)
        filled = self._filled_in(line)
        if line == "flarefleet tensorboard":
            with _tensorboard_that_ends():
                return self.run(filled)
        if line == "flarefleet tensorboard latest":
            return self._tensorboard(filled)
        if line.startswith("pytest"):
            words = [sys.executable, "-m", *filled.split(), "-q", "-p", "no:cacheprovider"]
            return subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False)
        return self.run(filled)

    def run(self, line: str) -> Output:
        words = shlex.split(line.partition(" > ")[0])[1:]
        return run_here(*words, folder=self.folder, environment=self._environment)

    def _filled_in(self, line: str) -> str:
        """Return a line for a job without torch, with few rounds, and with the ids of this federation."""
        if "results/" in line:
            found = (f"results/numpy-fedavg-{job[:8]}" for job in (self._first, self._second))
            line = re.sub(r"results/hospital-\w+", lambda _: next(found), line)
        line = re.sub(r"\bhospital\b", "numpy-fedavg", line)
        line = line.replace("--framework pytorch", "--framework numpy")
        line = line.replace("numpy-fedavg --set rounds=5", "numpy-fedavg --set rounds=2")
        return line.replace("28b4", self._prefix) + " --yes" * line.startswith("flarefleet delete")

    def _prepare(self, line: str) -> None:
        """Make what a line needs: the jobs that it names, results to compare, the folders of jobs."""
        if line.startswith("flarefleet watch"):
            self._first, self._second = self._jobs("numpy-fedavg")[-2:]
        elif line.startswith("flarefleet abort"):
            self._prefix = self.run("flarefleet submit numpy-fedavg --set rounds=9999 --detach").stdout[:8]
            with open_session(AdminKit.read(self._kit)) as session:
                job_id = self._jobs("numpy-fedavg")[-1]
                eventually(lambda: session.job(job_id).status == RUNNING, 60, "the job to abort runs")
        elif line.startswith("flarefleet fetch"):
            self.run(f"flarefleet watch {self._prefix}")
        elif "--differences" in line:
            self._prefix = self._first[:8]
        elif "results/" in line:
            for job_id in (self._first, self._second):
                self.run(f"flarefleet fetch {job_id}")
        elif line.startswith("flarefleet submit ./hello-pt"):
            job = self.folder / "hello-pt"
            job.mkdir()
            (job / "job.py").write_text(JOB)
            shutil.copy(Path(__file__).with_name("stock_script") / "client.py", job)
            self.run("flarefleet export ./hello-pt exported -- --num_rounds 1")
            shutil.make_archive(str(job), "zip", self.folder / "exported")

    def _jobs(self, name: str) -> list[str]:
        """Return the ids of the jobs of that name that this laptop has submitted, oldest first."""
        found = json.loads(self.run("flarefleet jobs --json").stdout)
        return [job["id"] for job in found if job["name"] == name]

    def _tensorboard(self, line: str) -> Output:
        """Start TensorBoard until it shows the sites, and check its address as the guide says."""
        with subprocess.Popen(
            [str(BIN / "flarefleet"), *shlex.split(line)[1:]],
            cwd=self.folder, env={**os.environ, **self._environment}, stdout=subprocess.PIPE, text=True,
        ) as running:  # fmt: skip
            assert running.stdout is not None
            url = running.stdout.readline().strip()
            try:
                eventually(lambda: _runs(url) == set(SITES), 60, "TensorBoard shows both sites")
                checked = self.run(f"flarefleet tensorboard --url {url}")
            finally:
                running.send_signal(signal.SIGINT)
        return subprocess.CompletedProcess(line, running.returncode, checked.stdout, checked.stderr)


def _runs(url: str) -> set[str]:
    """Return the sites that TensorBoard shows."""
    with urlopen(f"{url}data/runs", timeout=10) as answer:
        return {Path(run).name for run in json.load(answer)}


@contextmanager
def _tensorboard_that_ends() -> Iterator[None]:
    """Let TensorBoard end at once."""

    class Program:
        command = program.Command("TensorBoard", (), 6006, ready="/")

        def wait(self) -> None:
            raise KeyboardInterrupt

    @contextmanager
    def tensorboard(*_: object) -> Iterator[Program]:
        yield Program()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "tensorboard", tensorboard)
        yield


@pytest.fixture(scope="module")
def laptop(federation: JobsFederation, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A laptop with a copy of an administrator's kit, on which every command of the guide was run."""
    kit = shutil.copytree(federation.kit(ADMIN), tmp_path_factory.mktemp("kit") / ADMIN)
    return Laptop(tmp_path_factory.mktemp("laptop"), kit)


@pytest.mark.parametrize("line", CASES)
def test_a_command_of_the_guide_works_with_a_kit_alone(laptop: Laptop, line: str) -> None:
    done = laptop.outputs[line]
    assert done.returncode == 0, done.stdout + done.stderr
    pattern = next(OUTPUT[part] for part in OUTPUT if part in line)
    assert re.search(pattern, done.stdout + done.stderr), done.stdout + done.stderr
    assert "project.yml" not in done.stderr


def test_a_job_that_logs_nothing_has_curves(laptop: Laptop) -> None:
    (job_id, *_) = laptop._jobs("hello-pt")
    assert laptop.run(f"flarefleet fetch {job_id}").returncode == 0
    for site in SITES:
        events = laptop.folder / "results" / f"hello-pt-{job_id[:8]}" / "tb_events" / site
        assert [(one.step, one.value) for one in read_run(events).Scalars("accuracy")] == [
            (1, 0.0),
            (2, 1.0),
            (3, 2.0),
        ]
