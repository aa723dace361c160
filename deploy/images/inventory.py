"""List the images that a federation needs, and those that this engine has."""

from __future__ import annotations

import docker
from docker.errors import ImageNotFound
from pydantic import BaseModel

from deploy.images.build import participant_names
from deploy.images.names import LABEL_VARIANT, runtime_image, site_image
from deploy.project import Project

VERSION = "org.opencontainers.image.version"


class ImageRecord(BaseModel, frozen=True):
    """One image that a federation needs."""

    name: str
    site: str | None = None
    """The server or site whose kit it holds; None for the runtime image."""
    present: bool = False
    id: str | None = None
    digest: str | None = None
    """Its digest in a registry, if it was pushed or pulled."""
    size: int | None = None
    """Bytes, shared layers included."""
    layers: tuple[str, ...] = ()
    """Digests of its layers, the base image first."""
    version: str | None = None
    variant: str | None = None


def list_images(
    client: docker.DockerClient | None, project: Project, site: str | None = None
) -> list[ImageRecord]:
    """List the images of a federation: the runtime image, and one for the server and each site.

    Args:
        client: the engine to query; with None every image is reported as missing.
        site: list only the image of this server or site, which includes the layers of the runtime image.

    Raises:
        InputError: project.yml has no such site.
    """
    names = participant_names(project, site)
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
