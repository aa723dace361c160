"""One federation for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.federation.federation import forking_jobs, write_project
from tests.federation.jobs.commands import SITES, JobsFederation


@pytest.fixture(scope="package")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsFederation]:
    """The running federation."""
    file = write_project(
        tmp_path_factory.mktemp("jobs"), sites=len(SITES), name="jobs", role="lead", logs="shared"
    )
    federation = JobsFederation(file.parent)
    try:
        with forking_jobs():
            federation.run("up", "--runtime", "process")
        yield federation
    finally:
        federation.down()
