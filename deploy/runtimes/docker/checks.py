"""What would fail, found before anything starts: a federation of the same name, a port that is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.errors import MachineError
from deploy.release.compose import LABEL_PROJECT, LABEL_WORKSPACE

Filters = dict[str, str | list[str] | bool]

if TYPE_CHECKING:
    from collections.abc import Collection

    import docker

    from deploy.workspace import Workspace


def refuse_strangers(client: docker.DockerClient, project: str, workspace: Workspace) -> None:
    """See that nothing on this engine belongs to a federation of the same name in another folder.

    Raises:
        MachineError: something does; their volumes would mix.
    """
    marked: Filters = {"label": f"{LABEL_PROJECT}={project}"}
    containers = client.containers.list(all=True, filters=marked, ignore_removed=True)
    labels = [container.labels for container in containers]
    labels += [volume.attrs["Labels"] or {} for volume in client.volumes.list(filters=marked)]
    for owner in sorted({found.get(LABEL_WORKSPACE, "") for found in labels} - {str(workspace.root), ""}):
        raise MachineError(
            f"This engine already has a federation {project}, of {owner}, and what two of one name "
            "keep would mix. Give this one another name in project.yml; or remove the other: "
            "flarefleet down --volumes there or, if that folder is gone, "
            f"docker volume rm $(docker volume ls --quiet --filter label={LABEL_WORKSPACE}={owner})"
        )


def refuse_published_ports(client: docker.DockerClient, ports: Collection[int]) -> None:
    """See that no container of this engine publishes one of the ports.

    Raises:
        MachineError: one does; the message names it.
    """
    for container in client.containers.list(ignore_removed=True):
        entries = [entry for published in container.ports.values() for entry in published or ()]
        taken = {int(entry["HostPort"]) for entry in entries} & set(ports)
        if taken:
            raise MachineError(
                f"Port {min(taken)} of the federation is published by the container {container.name}. Stop "
                "that, or choose another fed_learn_port (and admin_port) in project.yml and provision again."
            )
