"""Federations to test with: one that is shared and always up, and as many more as a test wants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.federation.federation import Federation, write_project
from tests.federation.parent import Parent

UNATTENDED = ["process", pytest.param("docker", marks=pytest.mark.docker)]
"""Where what has ended stays so until the next `up`; Kubernetes starts it again by itself."""
RUNTIMES = [*UNATTENDED, pytest.param("kubernetes", marks=pytest.mark.kubernetes)]
"""What every runtime promises is tested on each of them."""


@pytest.fixture(scope="session", params=RUNTIMES)
def shared_federation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    """A server and two sites, started once in each runtime."""
    if request.param == "docker":
        request.getfixturevalue("engine")  # skips, or in CI fails, where there is none
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
    """The shared federation, all of it ready; a test may break it, the next finds it mended."""
    shared_federation.up()
    return shared_federation


@pytest.fixture
def new_federation(tmp_path: Path) -> Iterator[Callable[..., Federation]]:
    """Makes federations of processes, provisioned and not yet up, that no other test sees."""
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
    """Starts single parents: start(kit, workspace, FLARE_X="...")."""
    started: list[Parent] = []

    def start_one(kit: Path, workspace: Path, **environment: str) -> Parent:
        started.append(Parent(kit, workspace, environment))
        return started[-1]

    try:
        yield start_one
    finally:
        for parent in started:
            parent.end()
