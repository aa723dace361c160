"""Kills of parents and job processes under a running job, on processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.chaos.cell import Matrix
from benchmarks.chaos.federation import JobSpec
from benchmarks.chaos.kills import PROCESSES, REDUCED, kill
from benchmarks.chaos.processes import Processes
from deploy.session import open_session
from fl_app.survival.interventions import Kind

pytestmark = [pytest.mark.federation, pytest.mark.extended]

JOB = JobSpec(rounds=8, seconds=0.5)
INTERVENTIONS = {
    "server parent": {(Kind.ADOPTED, "")},
    "server job": {(Kind.RESTARTED, ""), (Kind.RESUMED, "")},
    "site parent": {(Kind.REJOINED, "site-1")},
    "site job": {(Kind.RESTARTED, "site-1")},
    "SIGTERM site": {(Kind.REJOINED, "site-1")},
}
"""The interventions, with their sites, that the history of the killed job must name."""


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Start a server and two sites."""
    folder = tmp_path_factory.mktemp("kills")
    federation = Processes(folder / "federation")
    with federation.running():
        yield Matrix(federation, PROCESSES, folder / "logs")
    assert federation.runtime.folder.processes() == []


@pytest.mark.parametrize("name", REDUCED)
def test_a_job_finishes_with_the_same_model(matrix: Matrix, name: str) -> None:
    matrix.reference(JOB)
    before = matrix.observer.job_ids() or set()

    cell = matrix.run(kill(name), JOB)

    assert cell.failed == [], cell.said
    assert cell.next_training is not None
    with open_session(matrix.federation.admin_kit()) as session:
        (job,) = [job for job in session.jobs() if job.id not in before]
    assert INTERVENTIONS[name] <= {(one.kind, one.site) for one in job.history}
