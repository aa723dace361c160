"""The images that the files of release folders name."""

from __future__ import annotations

import docker

from deploy.images.build import participant_names
from deploy.images.inventory import ImageRecord, image_record
from deploy.project import Project
from deploy.release.participant import Participant, participants_of
from deploy.workspace import Workspace

KUBERNETES, DOCKER = "kubernetes", "docker"
"""The runtimes of a release folder: values.yaml is for Kubernetes, compose.yaml for Docker."""


def list_images(
    client: docker.DockerClient | None, project: Project, workspace: Workspace, site: str | None = None
) -> list[ImageRecord]:
    """List the images of a federation: those that values.yaml and compose.yaml name.

    Args:
        client: the engine to query; with None every image is reported as missing.
        site: list only the images of this server or site.

    Raises:
        InputError: project.yml has no such site.
    """
    participants = participants_of(project, workspace)
    wanted: dict[str, set[str]] = {}
    owners: dict[str, str] = {}
    for name in participant_names(project, site):
        for image, runtime in _images(participants[name]):
            wanted.setdefault(image, set()).add(runtime)
            if image == participants[name].container_image:
                owners[image] = name
    names = sorted(wanted, key=lambda image: image in owners)  # the runtime image first
    return [image_record(client, name, owners.get(name), sorted(wanted[name])) for name in names]


def _images(participant: Participant) -> list[tuple[str, str]]:
    """Return the image of values.yaml and that of compose.yaml, each with its runtime."""
    return [(participant.image, KUBERNETES), (participant.container_image, DOCKER)]
