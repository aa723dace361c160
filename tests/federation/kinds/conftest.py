"""One federation for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.federation.federation import Federation, forking_jobs, running

SITES = ["site-1", "site-2", "site-3"]


@pytest.fixture(scope="package")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and three sites."""
    folder = tmp_path_factory.mktemp("kinds")
    with forking_jobs(), running(folder, Federation, sites=len(SITES), name="kinds") as federation:
        yield federation
