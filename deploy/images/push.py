"""Push images to the registry of project.yml, with the credentials of `docker login`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import docker
from docker.auth import resolve_repository_name
from docker.errors import APIError, DockerException

from deploy.errors import Failed, FlarefleetError, InputError
from deploy.images.archive import engine_error, refuse_missing
from deploy.images.inventory import ImageRecord
from deploy.project import Project

PushProgress = Callable[[str, int, int], None]
"""Called with an image, the bytes pushed, and the bytes in total."""


def push_images(
    client: docker.DockerClient,
    project: Project,
    images: Sequence[ImageRecord],
    progress: PushProgress | None = None,
) -> dict[str, str]:
    """Push `images` and return the digest of each by its name.

    Raises:
        InputError: project.yml has no registry.
        Failed: an image is missing on this engine, or the registry rejects it.
    """
    if not project.image.registry_is_given:
        raise InputError(
            f"{project.path}: deployment.image.registry: missing. Add the registry to push to, for "
            "example registry.example.org/flare, and build the images again."
        )
    refuse_missing(images)
    tell = progress or (lambda _image, _done, _of: None)
    return {image.name: _push(client, image.name, tell) for image in images}


def _push(client: docker.DockerClient, name: str, tell: PushProgress) -> str:
    repository, _, tag = name.rpartition(":")
    registry, _ = resolve_repository_name(repository)
    digest = ""
    layers: dict[str, tuple[int, int]] = {}
    try:
        for event in client.api.push(repository, tag=tag, stream=True, decode=True):
            if "error" in event:
                raise _push_error(name, registry, str(event["error"]))
            detail = event.get("progressDetail") or {}
            if event.get("status") == "Pushing" and detail.get("total"):
                total = int(detail["total"])
                layers[event["id"]] = (min(int(detail.get("current", 0)), total), total)
            tell(name, sum(done for done, _ in layers.values()), sum(of for _, of in layers.values()))
            digest = (event.get("aux") or {}).get("Digest", digest)
    except (APIError, DockerException) as error:
        raise _push_error(name, registry, str(error)) from error
    return digest


def _push_error(name: str, registry: str, message: str) -> FlarefleetError:
    lower = message.lower()
    if any(word in lower for word in ("no basic auth", "unauthorized", "authentication required", "denied")):
        return Failed(
            f"{registry} denied the push of {name}: not logged in, or no permission to push. "
            f"Log in: docker login {registry}"
        )
    if any(
        word in lower for word in ("connection refused", "no such host", "i/o timeout", "deadline exceeded")
    ):
        return Failed(f"{registry} does not answer, so {name} was not pushed: {message}")
    if "http response to https client" in lower:
        return Failed(
            f"{name} was not pushed: {registry} uses plain HTTP, which the engine accepts only from the "
            "insecure-registries of its daemon.json."
        )
    return engine_error(f"{name} was not pushed to {registry}", message)
