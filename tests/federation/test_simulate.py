"""`flarefleet simulate`: jobs in NVFlare's simulator."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.documented import DOCS, ROOT, commands_in
from tests.event_files import read_run
from tests.patients import write_patients

pytestmark = [pytest.mark.federation, pytest.mark.extended]

FLAREFLEET = Path(sys.executable).parent / "flarefleet"
ONE_SUM = 573147844013817084100
"""Sum of the first 100 Fibonacci numbers, which needs more than 64 bits."""


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `flarefleet simulate` with its temporary files in tmp_path."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [FLAREFLEET, "simulate", *arguments],
            env=os.environ | {"TMPDIR": str(temporary)} | environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def processes_of(tmp_path: Path) -> list[psutil.Process]:
    """Return every process whose command line contains this test's folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(tmp_path) in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found


def test_a_job_without_torch_runs_without_torch_and_its_result_is_printed(
    simulate: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    guide = next(
        one.line for one in commands_in(DOCS / "data-scientist.md") if "simulate hospital" in one.line
    )
    words = shlex.split(guide.replace("hospital", "fibonacci").replace("--fetch results", "--fetch out"))[2:]
    job = simulate(*words, "--set", 'levels={"site-2": 100}', "--json", PYTHONPATH=str(blocked))
    stdout, stderr = job.communicate(timeout=180)

    assert job.returncode == 0, stderr
    document = json.loads(stdout)
    result = document["results"]["metrics/fibonacci.json"]
    assert len(result["rounds"]) == 5
    assert result["rounds"][4]["sums"] == {"site-1": 88, "site-2": str(ONE_SUM), "site-3": 88}
    assert result["total"] == str(5 * (ONE_SUM + 176))
    assert result["best_site"] == "site-2"
    assert json.loads((tmp_path / "out" / "metrics" / "fibonacci.json").read_text()) == result
    durations = read_run(tmp_path / "out" / "tb_events" / "server").Scalars("round_duration_seconds")
    assert [value.step for value in durations] == [1, 2, 3, 4, 5], "the job logs and returns no values"
    assert "0 1 1 2 3 5 8 13 21 34\n" in (tmp_path / "out" / "logs" / "site-1.log.txt").read_text()
    assert "fibonacci: FINISHED:COMPLETED after 0:0" in stderr
    assert "round 5 of 5" in stderr
    assert "nvflare" not in stderr, "the log of the simulator goes to a file"
    assert "End the Simulator run" in (tmp_path / "out" / "logs" / "simulator.log").read_text()
    assert processes_of(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_job_of_the_tutorial_learns_in_a_simulation(
    simulate: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    data = write_patients(tmp_path / "sample")
    lines = [one.line for one in commands_in(DOCS / "bring-your-pytorch-script.md")]
    (line,) = [line for line in lines if line.startswith("flarefleet simulate")]
    example = ROOT / "examples" / "pytorch-script" / "after"
    job = simulate(*shlex.split(line.replace("./after", str(example)).replace("$PWD/sample", str(data)))[2:])
    _, stderr = job.communicate(timeout=300)

    assert job.returncode == 0, stderr
    assert "patients: FINISHED:COMPLETED after 0:" in stderr
    assert re.search(r"site-2: accuracy 0\.[89]\d*, loss 0\.\d+", stderr), stderr


def test_a_killed_site_process_fails_the_simulation_and_no_process_is_left(
    simulate: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    job = simulate("probe", "--set", "rounds=500", "--set", "seconds=1")
    seen = ""
    while "round 2 of 500" not in seen:
        line = job.stderr.readline()
        assert line, seen
        seen += line
    (site,) = (
        process
        for process in processes_of(tmp_path)
        if "site-2" in process.cmdline()
        and "nvflare.private.fed.app.simulator.simulator_worker" in process.cmdline()
    )
    site.kill()
    _, stderr = job.communicate(timeout=240)

    assert job.returncode == 1
    assert "the process of site-2 exited before" in stderr
    assert processes_of(tmp_path) == []


def test_a_failed_job_is_reported_with_its_site_and_error_and_keeps_its_logs(
    simulate: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    job = simulate("probe", "--set", "failing_site=site-2")
    stdout, stderr = job.communicate(timeout=180)
    assert job.returncode == 1
    assert stdout == ""
    assert "ProbeFailure: site-2 failed on request in round 1" in stderr
    logs = re.search(r"Its logs: (\S+)", stderr)
    assert logs is not None
    assert (Path(logs[1]) / "site-2" / "log.txt").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fibonacci", "--set", 'levels={"site-3": 7}'], "levels: site-3: not among the sites"),
        (["fibonacci", "--sites", "0"], "greater than or equal to 1"),
        (["fibonacci", "--fetch", "."], "is not an empty folder"),
    ],
)
def test_invalid_input_is_rejected_before_anything_starts(
    simulate: Callable[..., subprocess.Popen[str]], arguments: list[str], message: str
) -> None:
    job = simulate(*arguments)
    _, stderr = job.communicate(timeout=60)
    assert job.returncode == 2
    assert message in stderr
