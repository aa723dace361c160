"""Kills of parents and job processes under a running job, on processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.chaos.cell import Matrix
from benchmarks.chaos.federation import JobSpec
from benchmarks.chaos.kills import PROCESSES, REDUCED, kill
from benchmarks.chaos.processes import Processes

pytestmark = [pytest.mark.federation, pytest.mark.extended]

JOB = JobSpec(rounds=8, seconds=0.5)


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
    cell = matrix.run(kill(name), JOB)

    assert cell.failed == [], cell.said
    assert cell.next_training is not None
