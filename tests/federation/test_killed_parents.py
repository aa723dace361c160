"""Running jobs finish with all rounds if parents are killed: sites rejoin, and the server adopts its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deploy.session import AdminKit, open_session
from fl_app.survival.checkpoints import folder_of
from fl_app.survival.interventions import Kind
from fl_app.survival.parent_state import STATE_FILE
from fl_app.survival.requeue import progress_of
from tests.federation.federation import ADMIN, SERVER, Federation, running
from tests.waiting import eventually

pytestmark = pytest.mark.federation

ROUNDS = 10


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a server and two sites."""
    with running(tmp_path_factory.mktemp("killed"), Federation, sites=2, name="killed") as federation:
        yield federation


def history(federation: Federation, job_id: str) -> set[tuple[Kind, str]]:
    """Return the interventions of a job: kind and site."""
    with open_session(AdminKit.read(federation.runtime.admin_kit(ADMIN))) as session:
        return {(one.kind, one.site) for one in session.job(job_id).history}


def test_a_job_finishes_with_all_rounds_if_the_parents_of_the_server_and_a_site_are_killed(
    federation: Federation, tmp_path: Path
) -> None:
    """tests/federation/kills has a row for each parent alone."""
    job_id = third_round(federation)

    for name in ("site-1", SERVER):
        federation.kill(name)
    federation.wait_for_job(job_id, "FINISHED:COMPLETED")

    assert_complete(federation, job_id, tmp_path)
    assert {(Kind.ADOPTED, ""), (Kind.REJOINED, "site-1")} <= history(federation, job_id)


def test_a_job_that_cannot_be_adopted_goes_on_from_the_queue(federation: Federation, tmp_path: Path) -> None:
    job_id = third_round(federation)

    (federation.run_folder.workspace(SERVER) / STATE_FILE).unlink()
    federation.kill(SERVER)
    federation.wait_for_job(job_id, "FINISHED:COMPLETED")

    assert_complete(federation, job_id, tmp_path)
    assert {(Kind.REQUEUED, ""), (Kind.RESUMED, "")} <= history(federation, job_id)


def third_round(federation: Federation) -> str:
    """Return the id of a job whose third round has started."""
    job_id = federation.submit("probe", rounds=ROUNDS, seconds=0.5)
    workspace = federation.run_folder.workspace(SERVER)
    eventually(lambda: progress_of(workspace, job_id) >= (0, 2), 120, "the third round has started")
    return job_id


def assert_complete(federation: Federation, job_id: str, results: Path) -> None:
    """Check that every round counts once in the final model, and that no checkpoint is left."""
    federation.run("fetch", job_id, str(results))
    (file,) = results.rglob("FL_global_model.pt")
    model = torch.load(file, weights_only=True)["model"]
    assert model["numbers"].unique().tolist() == [ROUNDS]  # each round adds one
    assert not folder_of(federation.run_folder.workspace(SERVER), job_id).exists()
