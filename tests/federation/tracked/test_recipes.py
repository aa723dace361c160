"""Every kind of recipe with every tracker: the kit's, and NVFlare's own."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from deploy.session import AdminSession, Job
from deploy.session.failure import GUARD, explain
from deploy.session.session import COMPLETED
from tests.federation.federation import SERVER
from tests.federation.tracked.recipes import RECIPES, ROUNDS, parameter_twice
from tests.federation.tracked.tracking import SITES, Row, Tracked, scalars, shown
from tests.federation.tracked.wandb_files import logged_keys
from tests.waiting import eventually

pytestmark = pytest.mark.federation

LOGGED = [(step, 1 / (1 + step)) for step in range(ROUNDS)]
"""What every client of the table logs as train_loss."""


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_in_the_kits_tensorboard_mlflow_and_wandb(table: dict[str, Row], name: str) -> None:
    job_id, tracked = table[name].job_id, table[name].tracked
    for site in SITES:
        found = scalars(tracked.event_files / job_id / site, "train_loss")
        assert [step for step, _ in found] == [step for step, _ in LOGGED]
        assert [value for _, value in found] == pytest.approx([value for _, value in LOGGED])

    eventually(lambda: tracked.is_closed(job_id), 60, f"the run of {name} is closed")
    (run,) = tracked.kit_runs(job_id)
    assert run.info.run_name == name
    for site in SITES:
        assert tracked.history(run, f"{site}/train_loss") == LOGGED

    keys = logged_keys(tracked.queue / "wandb-runs")[f"run-{job_id}.wandb"]
    assert {f"{site}/{key}" for site in SITES for key in ("train_loss", "step")} <= keys


@pytest.mark.parametrize("name", RECIPES)
def test_nvflares_own_trackers_work_for_every_recipe(
    table: dict[str, Row], tmp_path: Path, name: str
) -> None:
    job_id, tracked = table[name].job_id, table[name].tracked
    results = table[name].session.download(job_id, tmp_path)
    runs = tracked.runs(f"{name}-experiment", f"tags.job_id = '{job_id}'")
    for site in SITES:
        (folder,) = results.rglob(f"tb_events/{site}")
        assert scalars(folder, "train_loss") == pytest.approx(LOGGED)
        (run,) = [run for run in runs if run.info.run_name.startswith(f"{site}-")]
        assert [step for step, _ in tracked.history(run, "train_loss")] == [step for step, _ in LOGGED]
    if _sites_in_wandb(tracked, job_id) < len(SITES):
        # On a busy machine NVFlare's receiver may lose a run without a word: it forks beside threads,
        # and terminates after ten seconds what hangs there. The kit's has every value (the test above).
        job_id = table[name].submit_again()
    assert _sites_in_wandb(tracked, job_id) == len(SITES)


def _sites_in_wandb(tracked: Tracked, job_id: str) -> int:
    """How many runs with the sites' values NVFlare's receiver made of a job: one a site."""
    return sum("train_loss" in keys for keys in _wandb_of(tracked, job_id).values())


def _wandb_of(tracked: Tracked, job_id: str) -> dict[str, set[str]]:
    """The keys of the runs that NVFlare's receiver made of a job."""
    found: dict[str, set[str]] = {}
    for path in {path.parent.name: path for path in tracked.wandb.rglob("*.wandb")}.values():
        if job_id.encode() in path.read_bytes():
            found |= logged_keys(path.parent)
    return found


def test_whatever_a_site_or_the_server_logs_is_shown(tracked: Tracked, table: dict[str, Row]) -> None:
    job = tracked.event_files / table["numpy"].job_id
    site = shown(job / "site-1")

    assert set(site.Tags()["scalars"]) == {"train_loss", "error/train", "error/valid"}
    assert site.Tensors("note")[0].tensor_proto.string_val == [b"*hello*"]
    assert (site.Images("sample")[0].width, site.Images("sample")[0].height) == (16, 16)
    assert site.Histograms("weights")[0].histogram_value.num == 3
    assert scalars(job / SERVER, "evaluation") == [(step, 0.75) for step in range(ROUNDS)]


def test_nvflares_trackers_drop_what_the_server_logs_and_the_kits_keep_it(table: dict[str, Row]) -> None:
    job_id, tracked = table["numpy"].job_id, table["numpy"].tracked
    runs = tracked.runs("numpy-experiment", f"tags.job_id = '{job_id}'")
    assert runs
    assert all("evaluation" not in run.data.metrics for run in runs)
    of_job = _wandb_of(tracked, job_id)
    assert of_job
    assert all("evaluation" not in keys for keys in of_job.values())

    eventually(lambda: tracked.is_closed(job_id), 60, "the kit's run is closed")
    (run,) = tracked.kit_runs(job_id)
    assert run.data.metrics[f"{SERVER}/evaluation"] == 0.75
    assert f"{SERVER}/evaluation" in logged_keys(tracked.queue / "wandb-runs")[f"run-{job_id}.wandb"]


@pytest.fixture(scope="module")
def twice(
    tracked: Tracked, session: AdminSession, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, Job]:
    """Jobs whose sites give MLflow a parameter twice, ended; by whether the guard was there."""
    folder = tmp_path_factory.mktemp("twice")
    tracked.mlflow.wait()
    ids = {
        guard: session.submit(parameter_twice(folder, tracked.mlflow.url, guard=guard), uuid.uuid4().hex)
        for guard in (True, False)
    }
    eventually(lambda: all(session.job(one).is_finished for one in ids.values()), 240, "both have ended")
    return {guard: session.job(one) for guard, one in ids.items()}


def test_nvflare_loses_all_that_was_logged_with_a_parameter_given_twice(
    tracked: Tracked, twice: dict[bool, Job]
) -> None:
    job = twice[False]
    assert job.status == COMPLETED
    runs = tracked.runs("stock-parameter-twice-experiment", f"tags.job_id = '{job.id}'")
    assert runs
    assert any(len(tracked.history(run, "train_loss")) < ROUNDS for run in runs)


def test_the_guard_ends_a_job_that_gives_a_parameter_twice(
    session: AdminSession, twice: dict[bool, Job]
) -> None:
    job = twice[True]
    assert job.status == "FINISHED:EXECUTION_EXCEPTION"
    (said,) = [error.text for error in explain(session, job) if error.site == GUARD]
    assert re.search(r"MLflowReceiver\): tracking could not store .*learning_rate", said)
