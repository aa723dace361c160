"""What every test shares: the Docker engine, and which tests run together in one worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import docker
import pytest

from deploy.errors import MachineError
from deploy.runtimes.docker.engine import connect


def pytest_configure() -> None:
    """Hear Ctrl-C even where the tests run in the background, where a shell lets nobody hear it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share something costly in one worker; let all others spread over the cores.

    Docker tests share one engine and its images, federation tests of a file share one federation.
    """
    for item in items:
        for shared in ("kubernetes", "docker"):
            if item.get_closest_marker(shared):
                item.add_marker(pytest.mark.xdist_group(shared))
                break
        else:
            if item.get_closest_marker("federation"):
                item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine; where there is none, tests are skipped with words, and in CI they fail."""
    try:
        client = connect()
    except MachineError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    try:
        yield client
    finally:
        client.close()
