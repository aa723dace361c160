"""Fixtures: a running federation that tests share, and new federations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fl_app.contract import ENV_FORK_JOBS
from tests.federation.federation import Federation, write_project
from tests.federation.parent import Parent

ON_DOCKER = pytest.param("docker", marks=pytest.mark.docker)
"""The runtime in which a killed site stays down until the next `up`: others start it again."""
RUNTIMES = ["process", ON_DOCKER, pytest.param("kubernetes", marks=pytest.mark.kubernetes)]
"""Runtimes that the tests of the common interface run on."""


@pytest.fixture(scope="package", autouse=True)
def _jobs_in_new_processes() -> Iterator[None]:
    """Start each job process as a new Python process.

    A prepared process costs its parent three CPU seconds. Few federations of the tests run enough jobs to
    save them; those start in `forking_jobs`.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(ENV_FORK_JOBS, "false")
        yield


@pytest.fixture(scope="package", params=RUNTIMES)
def shared_federation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    """Start a server and two sites once on each runtime."""
    if request.param == "docker":
        request.getfixturevalue("engine")  # skips the test, or fails it in CI, if there is no engine
    folder = tmp_path_factory.mktemp(f"federation-{request.param}")
    image = request.getfixturevalue("cluster_image") if request.param == "kubernetes" else None
    name = f"shared-{request.param}-{os.getpid()}"
    federation = Federation(write_project(folder, sites=2, name=name, image=image).parent, request.param)
    try:
        yield federation
    finally:
        federation.remove()


@pytest.fixture
def federation(shared_federation: Federation) -> Federation:
    """Return the shared federation. All participants are ready, even if the previous test stopped some."""
    if not shared_federation.status().is_ready:
        shared_federation.up()
    return shared_federation


@pytest.fixture
def new_federation(tmp_path: Path) -> Iterator[Callable[..., Federation]]:
    """Make provisioned federations of processes that other tests do not use."""
    made: list[Federation] = []

    def make(
        name: str = "clinics", sites: int = 1, port: int | None = None, scheme: str = "http"
    ) -> Federation:
        folder = tmp_path / name
        folder.mkdir()
        made.append(
            Federation(write_project(folder, name=name, sites=sites, port=port, scheme=scheme).parent)
        )
        return made[-1]

    try:
        yield make
    finally:
        for federation in made:
            federation.down()


@pytest.fixture
def start() -> Iterator[Callable[..., Parent]]:
    """Start single parents: start(kit, workspace, FLARE_X="...")."""
    started: list[Parent] = []

    def start_one(kit: Path, workspace: Path, **environment: str) -> Parent:
        started.append(Parent(kit, workspace, environment))
        return started[-1]

    try:
        yield start_one
    finally:
        for parent in started:
            parent.end()
