"""A federation over several hosts: each starts its own compose.yaml, and the server publishes a port."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml
from docker.models.containers import Container
from pytest_docker.plugin import Services, get_docker_services

from deploy.runtimes.docker.program import find_compose
from tests.docker.hosts import NEEDS_ROOT, OTHER_MACHINE, Host, provisioned
from tests.federation.federation import SERVER
from tests.waiting import eventually

pytestmark = [pytest.mark.docker, NEEDS_ROOT]


@dataclass(frozen=True)
class Hosts:
    """The running hosts of a federation."""

    server: Host
    sites: tuple[Host, ...]
    engine: docker.DockerClient

    def containers(self, *labels: str) -> list[Container]:
        """Return the federation's containers with these labels."""
        wanted = ["flare/project=consortium", *labels]
        return list(self.engine.containers.list(all=True, filters={"label": wanted}))


@pytest.fixture(scope="module")
def hosts(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Start each host with its own release folder, and wait until all are healthy."""
    folder = tmp_path_factory.mktemp("consortium")
    with provisioned(engine, folder, "consortium", sites=2) as (workspace, names), ExitStack() as stack:
        server, *sites = (Host.receive(workspace.release / name, folder / name) for name in names)
        for site in sites:
            site.override(**OTHER_MACHINE)
        for host in (server, *sites):
            stack.enter_context(services(host))
        yield Hosts(server, tuple(sites), engine)


def services(host: Host) -> AbstractContextManager[Services]:
    """Start a host with pytest-docker, with the files that Compose reads by default."""
    files = [host.folder / name for name in ("compose.yaml", "compose.override.yaml")]
    return get_docker_services(
        shlex.join(find_compose().command),
        [str(file) for file in files if file.exists()],
        f"flare-consortium-{host.name}",
        "up --detach --wait",
        "down --volumes",
    )


def test_every_host_becomes_ready_with_its_folder_and_its_image(hosts: Hosts) -> None:
    found = {one.labels["flare/site"]: one.attrs["State"]["Health"]["Status"] for one in hosts.containers()}
    assert found == dict.fromkeys((SERVER, "site-1", "site-2"), "healthy")


def test_only_the_federation_port_of_the_server_is_published(hosts: Hosts) -> None:
    service = yaml.safe_load((hosts.server.folder / "compose.yaml").read_text())["services"][SERVER]
    port = service["ports"][0].partition(":")[0]

    published = {
        one.labels["flare/site"]: {key: to[0]["HostPort"] for key, to in one.ports.items() if to}
        for one in hosts.containers()
    }
    assert published == {SERVER: {f"{port}/tcp": port}, "site-1": {}, "site-2": {}}


def test_a_second_copy_of_a_site_is_not_ready(hosts: Hosts, tmp_path: Path) -> None:
    original = hosts.sites[0]
    copy = Host.receive(original.folder, tmp_path / original.name)
    copy.override(**OTHER_MACHINE)
    with copy.running("--project-name", "flare-copy", wait=False):
        assert len(hosts.containers("flare/site=site-1")) == 2

        def is_reported() -> bool:
            """On a busy machine a site may become unhealthy without the message."""
            both = [one.attrs["State"]["Health"] for one in hosts.containers("flare/site=site-1")]
            outputs = [check["Output"] for one in both for check in one["Log"]]
            return any("another process uses this kit" in output for output in outputs) or any(
                one["Status"] == "unhealthy" for one in both
            )

        eventually(is_reported, 300, "one of them is not ready", pause=0.5)
