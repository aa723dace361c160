"""Every recipe with every tracker: the kit's, and NVFlare's own receivers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.session.failure import GUARD, explain
from deploy.session.session import COMPLETED
from tests.event_files import read_run
from tests.federation.federation import SERVER
from tests.federation.tracked.recipes import RECIPES, ROUNDS, parameter_twice
from tests.federation.tracked.tracking import SITES, Tracked, TrackedJob, scalars
from tests.federation.tracked.wandb_files import logged_keys
from tests.waiting import eventually

pytestmark = pytest.mark.federation

LOGGED = [(step, 1 / (1 + step)) for step in range(ROUNDS)]
"""Values of train_loss that every site logs."""
CORE = "numpy"


@pytest.mark.parametrize(
    "name", [CORE, *(pytest.param(name, marks=pytest.mark.extended) for name in RECIPES if name != CORE)]
)
def test_the_values_of_every_recipe_are_in_tensorboard_mlflow_and_wandb(
    jobs: dict[str, TrackedJob], name: str
) -> None:
    job = jobs[name].completed()
    tracked = job.tracked
    for site in SITES:
        found = scalars(tracked.event_files / job.id / site, "train_loss")
        assert [step for step, _ in found] == [step for step, _ in LOGGED]
        assert [value for _, value in found] == pytest.approx([value for _, value in LOGGED])

    eventually(lambda: tracked.is_closed(job.id), 60, f"the run of {name} is closed")
    (run,) = tracked.kit_runs(job.id)
    assert run.info.run_name == name
    for site in SITES:
        assert tracked.history(run, f"{site}/train_loss") == LOGGED

    wanted = {f"{site}/{key}" for site in SITES for key in ("train_loss", "step")}
    run_file = f"run-{job.id}.wandb"
    eventually(
        lambda: wanted <= logged_keys(tracked.queue / "wandb-runs")[run_file], 30, f"{wanted} are in W&B"
    )


@pytest.mark.extended
@pytest.mark.parametrize("name", RECIPES)
def test_nvflares_own_receivers_work_for_every_recipe(
    jobs: dict[str, TrackedJob], tmp_path: Path, name: str
) -> None:
    job = jobs[name].completed()
    tracked = job.tracked
    results = tracked.session.download(job.id, tmp_path)
    runs = tracked.runs(f"{name}-experiment", f"tags.job_id = '{job.id}'")
    for site in SITES:
        (folder,) = results.rglob(f"tb_events/{site}")
        assert scalars(folder, "train_loss") == pytest.approx(LOGGED)
        (run,) = [run for run in runs if run.info.run_name.startswith(f"{site}-")]
        assert [step for step, _ in tracked.history(run, "train_loss")] == [step for step, _ in LOGGED]
    if _sites_in_wandb(job) < len(SITES):
        # On a busy machine NVFlare's receiver may lose a run silently: it forks a process that has threads,
        # and terminates the child after ten seconds if it hangs.
        job = TrackedJob.submit(job.folder, tracked).completed()
    assert _sites_in_wandb(job) == len(SITES)


def _sites_in_wandb(job: TrackedJob) -> int:
    """Return the number of sites for which NVFlare's receiver created a run with values."""
    return sum("train_loss" in keys for keys in _nvflare_wandb_runs(job).values())


def _nvflare_wandb_runs(job: TrackedJob) -> dict[str, set[str]]:
    """Return the keys of the runs that NVFlare's receiver created for a job."""
    found: dict[str, set[str]] = {}
    for path in {path.parent.name: path for path in job.tracked.wandb.rglob("*.wandb")}.values():
        if job.id.encode() in path.read_bytes():
            found |= logged_keys(path.parent)
    return found


def test_every_type_of_value_of_a_site_and_of_the_server_is_in_tensorboard(
    jobs: dict[str, TrackedJob],
) -> None:
    job = jobs[CORE].completed()
    folder = job.tracked.event_files / job.id
    site = read_run(folder / "site-1")

    assert set(site.Tags()["scalars"]) == {"train_loss", "error/train", "error/valid", "accuracy"}
    assert [value.step for value in site.Scalars("accuracy")] == list(range(1, ROUNDS + 1))  # returned
    assert site.Tensors("note")[0].tensor_proto.string_val == [b"*hello*"]
    assert (site.Images("sample")[0].width, site.Images("sample")[0].height) == (16, 16)
    assert site.Histograms("weights")[0].histogram_value.num == 3
    assert scalars(folder / SERVER, "evaluation") == [(step, 0.75) for step in range(ROUNDS)]


def test_nvflares_receivers_drop_values_of_the_server_and_the_kits_keep_them(
    jobs: dict[str, TrackedJob],
) -> None:
    job = jobs[CORE].completed()
    tracked = job.tracked
    runs = tracked.runs("numpy-experiment", f"tags.job_id = '{job.id}'")
    assert runs
    assert all("evaluation" not in run.data.metrics for run in runs)
    wandb_runs = _nvflare_wandb_runs(job)
    assert wandb_runs
    assert all("evaluation" not in keys for keys in wandb_runs.values())

    eventually(lambda: tracked.is_closed(job.id), 60, "the kit's run is closed")
    (run,) = tracked.kit_runs(job.id)
    assert run.data.metrics[f"{SERVER}/evaluation"] == 0.75
    assert f"{SERVER}/evaluation" in logged_keys(tracked.queue / "wandb-runs")[f"run-{job.id}.wandb"]


@pytest.mark.extended
@pytest.mark.stock
def test_nvflare_loses_the_values_that_are_logged_with_a_repeated_parameter(
    tracked: Tracked, tmp_path: Path
) -> None:
    tracked.mlflow.wait()
    folder = parameter_twice(tmp_path, tracked.mlflow.url, guard=False)
    job = TrackedJob.submit(folder, tracked).wait()
    assert job.status == COMPLETED
    runs = tracked.runs("stock-parameter-twice-experiment", f"tags.job_id = '{job.id}'")
    assert runs
    assert any(len(tracked.history(run, "train_loss")) < ROUNDS for run in runs)


@pytest.mark.extended
def test_the_guard_fails_a_job_that_repeats_a_parameter(
    tracked: Tracked, parameter_twice_job: TrackedJob
) -> None:
    job = parameter_twice_job.wait()
    assert job.status == "FINISHED:EXECUTION_EXCEPTION"
    (message,) = [error.text for error in explain(tracked.session, job) if error.site == GUARD]
    assert re.search(r"MLflowReceiver\): tracking could not store .*learning_rate", message)
