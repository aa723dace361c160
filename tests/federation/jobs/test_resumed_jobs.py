"""The server's process of a job is killed in mid-job: the job ends with the model of an undisturbed one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fl_app.survival.checkpoints import FOLDER
from tests.event_files import read_run
from tests.federation.federation import SERVER
from tests.federation.jobs.commands import SITES, JobsFederation
from tests.waiting import eventually

pytestmark = pytest.mark.federation

ROUNDS = 12
JOBS: dict[str, dict[str, object]] = {
    "fedadagrad": {"rounds": ROUNDS, "local_epochs": 4, "hidden": 16, "evaluate_every": 3},
    "hospital": {"rounds": ROUNDS, "dataset": "digits", "local_epochs": 8},
}


def checkpoints(federation: JobsFederation, job_id: str) -> list[Path]:
    return sorted(federation.workspace.run("process").glob(f"**/{FOLDER}/{job_id}/*.json"))


def kill_the_servers_process(federation: JobsFederation, job_id: str, after: int) -> None:
    """Kill it when it has saved this number of checkpoints."""

    def has_saved() -> bool:
        return any(int(file.stem) >= after for file in checkpoints(federation, job_id))

    eventually(has_saved, 120, f"{after} checkpoints are saved", pause=0.05)
    process = federation.job_process(SERVER, job_id)
    assert process is not None, "the job has ended before the kill"
    process.kill()


def results_of(federation: JobsFederation, job_id: str, folder: Path) -> tuple[Path, str]:
    watched = federation.flarefleet("watch", job_id)
    assert watched.returncode == 0, watched.stdout + watched.stderr
    federation.run("fetch", job_id, str(folder))
    return folder, watched.stderr


def models(folder: Path) -> dict[str, Any]:
    """Return the tensors of each model in the results, by its file."""
    found: dict[str, Any] = {
        file.name: torch.load(file, weights_only=True)["model"] for file in folder.rglob("*.pt")
    }
    return found | {file.name: load_file(file) for file in folder.rglob("best_model.safetensors")}


@pytest.mark.parametrize("job", ["fedadagrad", pytest.param("hospital", marks=pytest.mark.extended)])
def test_a_job_whose_server_process_is_killed_ends_as_an_undisturbed_one(
    job: str, federation: JobsFederation, tmp_path: Path
) -> None:
    undisturbed = federation.submit(job, **JOBS[job])
    disturbed = federation.submit(job, **JOBS[job])  # both run at the same time

    kill_the_servers_process(federation, disturbed, after=4)

    before, _ = results_of(federation, undisturbed, tmp_path / "undisturbed")
    after, said = results_of(federation, disturbed, tmp_path / "disturbed")
    assert f"of {ROUNDS}" in said.partition("resumed after round")[2], said
    expected, found = models(before), models(after)
    assert found.keys() == expected.keys()
    for file, tensors in expected.items():
        for name, tensor in tensors.items():
            assert torch.equal(torch.as_tensor(tensor), torch.as_tensor(found[file][name])), (file, name)
    histories = [list(folder.rglob("evaluation_history.json")) for folder in (before, after)]
    assert len(histories[0]) == (job == "fedadagrad")
    for one, other in zip(*histories, strict=True):
        assert json.loads(one.read_text()) == json.loads(other.read_text())
    for name in (*SITES, *([SERVER] if histories[0] else [])):
        logged = [scalar_steps(federation, job_id, name) for job_id in (undisturbed, disturbed)]
        assert logged[0]
        assert logged[1] == logged[0]


def scalar_steps(federation: JobsFederation, job_id: str, site: str) -> dict[str, list[int]]:
    (folder,) = federation.workspace.run("process").glob(f"**/analytics/{job_id}/{site}")
    run = read_run(folder)
    return {tag: [point.step for point in run.Scalars(tag)] for tag in run.Tags()["scalars"]}
