"""Checks before anything starts: another federation of the same name, and ports that containers publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.errors import MachineError
from deploy.ports import OTHER_PORT
from deploy.project.object_names import compose_name
from deploy.release.compose import LABEL_PROJECT, LABEL_WORKSPACE

LABEL_COMPOSE = "com.docker.compose.project"
"""Compose puts it on everything that it creates."""
Filters = dict[str, str | list[str] | bool]

if TYPE_CHECKING:
    from collections.abc import Collection

    import docker
    from docker.models.containers import Container

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
