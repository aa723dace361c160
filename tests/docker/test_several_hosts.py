"""A federation over several hosts: each starts its own compose.yaml, and the server publishes a port."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from pytest_docker.plugin import Services, get_docker_services

from deploy.runtimes.docker.program import find_compose
from tests.docker.hosts import NEEDS_ROOT, OTHER_MACHINE, Host, provisioned
from tests.federation.federation import SERVER
from tests.waiting import eventually

pytestmark = [pytest.mark.docker, NEEDS_ROOT]


@dataclass(frozen=True)
class Hosts:
    """The hosts of a federation."""

    server: Host
    sites: tuple[Host, ...]
    engine: docker.DockerClient

    def health(self, host: Host) -> str:
        """Return the health of the host's container."""
        found = self.engine.containers.list(all=True, filters={"label": f"flare/site={host.name}"})
        states = [one.attrs["State"] for one in found if one.labels.get("flare/project") == "consortium"]
        return str(states[0]["Health"]["Status"])


@pytest.fixture(scope="module")
def hosts(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Provision a federation and copy each release folder to its host."""
    folder = tmp_path_factory.mktemp("consortium")
    with provisioned(engine, folder, "consortium", sites=2) as (workspace, names):
        server, *sites = (Host.receive(workspace.release / name, folder / name) for name in names)
        for site in sites:
            site.override(**OTHER_MACHINE)
        yield Hosts(server, tuple(sites), engine)


@pytest.fixture(scope="module")
def docker_compose_command() -> str:
    return shlex.join(find_compose().command)


@pytest.fixture(scope="module")
def docker_compose_file(hosts: Hosts) -> list[str]:
    return hosts.server.files


@pytest.fixture(scope="module")
def docker_compose_project_name() -> str:
    return "flare-consortium-flare-server"


@pytest.fixture(scope="module")
def docker_setup() -> list[str]:
    return ["up --detach --wait"]


@pytest.fixture(scope="module")
def docker_cleanup() -> list[str]:
    return ["down --volumes"]


@pytest.fixture(scope="module")
def docker_services(
    docker_compose_command: str,
    docker_compose_file: list[str],
    docker_compose_project_name: str,
    docker_setup: list[str],
    docker_cleanup: list[str],
) -> Iterator[Services]:
    """Start the server's host with pytest-docker."""
    with get_docker_services(
        docker_compose_command, docker_compose_file, docker_compose_project_name, docker_setup, docker_cleanup
    ) as services:
        yield services


@pytest.fixture(scope="module")
def up(hosts: Hosts, docker_services: Services) -> Iterator[Hosts]:
    """Start the server and the sites, each from its own file, and wait until they are healthy."""
    with ExitStack() as stack:
        for site in hosts.sites:
            stack.enter_context(services(site, f"flare-consortium-{site.name}", "up --detach --wait"))
        yield hosts


def services(host: Host, project: str, setup: str) -> AbstractContextManager[Services]:
    """Start the containers of one host."""
    return get_docker_services(
        shlex.join(find_compose().command), host.files, project, setup, "down --volumes"
    )


def test_every_host_becomes_ready_with_its_folder_and_its_image(up: Hosts) -> None:
    assert {host.name: up.health(host) for host in (up.server, *up.sites)} == {
        SERVER: "healthy",
        "site-1": "healthy",
        "site-2": "healthy",
    }


def test_only_the_federation_port_of_the_server_is_published(up: Hosts, docker_services: Services) -> None:
    service = yaml.safe_load((up.server.folder / "compose.yaml").read_text())["services"][SERVER]
    port = int(service["ports"][0].partition(":")[0])

    assert docker_services.port_for(SERVER, port) == port
    found = up.engine.containers.list(filters={"label": "flare/project=consortium"})
    published = {one.labels["flare/site"]: [key for key, to in one.ports.items() if to] for one in found}
    assert published == {SERVER: [f"{port}/tcp"], "site-1": [], "site-2": []}


def test_a_second_copy_of_a_site_is_not_ready(up: Hosts, tmp_path: Path) -> None:
    original = up.sites[0]
    copy = Host.receive(original.folder, tmp_path / original.name)
    copy.override(**OTHER_MACHINE)
    with services(copy, "flare-copy", "up --detach"):
        both = [
            one
            for one in up.engine.containers.list(filters={"label": "flare/site=site-1"})
            if one.labels["flare/project"] == "consortium"
        ]
        assert len(both) == 2

        def health() -> list[dict[str, Any]]:
            for one in both:
                one.reload()
            return [one.attrs["State"]["Health"] for one in both]

        def is_reported() -> bool:
            """On a busy machine a site may become unhealthy without the message."""
            outputs = [check["Output"] for one in health() for check in one["Log"]]
            return any("another process uses this kit" in output for output in outputs) or any(
                one["Status"] == "unhealthy" for one in health()
            )

        eventually(is_reported, 300, f"one of them is not ready: {health()}")
