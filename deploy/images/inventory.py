"""What this engine knows about an image that a federation needs."""

from __future__ import annotations

from collections.abc import Sequence

import docker
from docker.errors import ImageNotFound
from pydantic import BaseModel

from deploy.images.names import LABEL_KIT, LABEL_VARIANT

VERSION = "org.opencontainers.image.version"


class ImageRecord(BaseModel, frozen=True):
    """One image that a federation needs."""

    name: str
    site: str | None = None
    """The server or site whose kit it holds; None for the runtime image."""
    runtimes: tuple[str, ...] = ()
    """The runtimes that use it: kubernetes (values.yaml), docker (compose.yaml), or both."""
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
    kit: str | None = None
    """SHA-256 of the layer with the kit of its site."""


def image_record(
    client: docker.DockerClient | None, name: str, site: str | None, runtimes: Sequence[str]
) -> ImageRecord:
    """Return the record of an image. Without an engine it is reported as missing."""
    wanted = ImageRecord(name=name, site=site, runtimes=tuple(runtimes))
    if client is None:
        return wanted
    try:
        image = client.images.get(name)
    except ImageNotFound:
        return wanted
    return wanted.model_copy(
        update={
            "present": True,
            "id": image.id,
            "digest": next(iter(image.attrs.get("RepoDigests") or ()), None),
            "size": image.attrs["Size"],
            "layers": tuple(image.attrs["RootFS"]["Layers"]),
            "version": image.labels.get(VERSION),
            "variant": image.labels.get(LABEL_VARIANT),
            "kit": image.labels.get(LABEL_KIT),
        }
    )
