"""Which images a federation needs, and which of them this engine has."""

from __future__ import annotations

import docker
from docker.errors import ImageNotFound
from pydantic import BaseModel

from deploy.images.build import members
from deploy.images.names import LABEL_VARIANT, runtime_image, site_image
from deploy.project import Project

VERSION = "org.opencontainers.image.version"


class ImageRecord(BaseModel, frozen=True):
    """One image that a federation needs."""

    name: str
    site: str | None = None
    """The server or site whose kit is in it; None for the runtime, on which the others are built."""
    present: bool = False
    id: str | None = None
    digest: str | None = None
    """What a registry knows it by, once it was pushed or pulled."""
    size: int | None = None
    """Bytes, with the layers that it shares."""
    layers: tuple[str, ...] = ()
    """The digests of its layers, from the base image up."""
    version: str | None = None
    variant: str | None = None


def list_images(
    client: docker.DockerClient | None, project: Project, site: str | None = None
) -> list[ImageRecord]:
    """The images of a federation: the runtime, and one for the server and each site; or what `site` needs.

    The image of a site holds the runtime's layers: a host needs nothing else, for jobs neither.

    Args:
        client: the engine that is asked what it has; None asks nobody.
        project: the federation.
        site: the server or a site.

    Raises:
        InputError: no such site.
    """
    names = members(project, site)
    runtime = [] if site else [_record(client, runtime_image(project.image), None)]
    return [*runtime, *(_record(client, site_image(project, name), name) for name in names)]


def _record(client: docker.DockerClient | None, name: str, site: str | None) -> ImageRecord:
    if client is None:
        return ImageRecord(name=name, site=site)
    try:
        image = client.images.get(name)
    except ImageNotFound:
        return ImageRecord(name=name, site=site)
    return ImageRecord(
        name=name,
        site=site,
        present=True,
        id=image.id,
        digest=next(iter(image.attrs.get("RepoDigests") or ()), None),
        size=image.attrs["Size"],
        layers=tuple(image.attrs["RootFS"]["Layers"]),
        version=image.labels.get(VERSION),
        variant=image.labels.get(LABEL_VARIANT),
    )
