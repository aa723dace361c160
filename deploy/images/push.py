"""Pushing images to the registry that project.yml names, with the login that docker keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import docker
from docker.auth import resolve_repository_name
from docker.errors import APIError, DockerException

from deploy.errors import Failed, FlarefleetError, InputError
from deploy.images.archive import engine_error
from deploy.images.inventory import ImageRecord
from deploy.project import Project

Progress = Callable[[str, int, int], None]
"""Called with an image, how many bytes of it are pushed, and of how many."""


def push_images(
    client: docker.DockerClient,
    project: Project,
    images: Sequence[ImageRecord],
    progress: Progress | None = None,
) -> dict[str, str]:
    """Push `images`; the digest of each by its name.

    Raises:
        InputError: project.yml names no registry.
        Failed: an image is not on this engine, or the registry refuses it.
    """
    if not project.image.registry_is_given:
        raise InputError(
            f"{project.path}: deployment.image.registry: missing; name the registry to push to, such as "
            "registry.example.org/flare, and build again"
        )
    if missing := [image.name for image in images if not image.present]:
        raise Failed(f"Not on this engine: {', '.join(missing)}. Build them: flarefleet images build")
    tell = progress or (lambda _image, _done, _of: None)
    return {image.name: _push(client, image.name, tell) for image in images}


def _push(client: docker.DockerClient, name: str, tell: Progress) -> str:
    repository, _, tag = name.rpartition(":")
    registry, _ = resolve_repository_name(repository)
    digest = ""
    layers: dict[str, tuple[int, int]] = {}
    try:
        for event in client.api.push(repository, tag=tag, stream=True, decode=True):
            if "error" in event:
                raise _refused(name, registry, str(event["error"]))
            _count(event, layers)
            tell(name, sum(done for done, _ in layers.values()), sum(of for _, of in layers.values()))
            digest = (event.get("aux") or {}).get("Digest", digest)
    except (APIError, DockerException) as error:
        raise _refused(name, registry, str(error)) from error
    return digest


def _count(event: dict[str, Any], layers: dict[str, tuple[int, int]]) -> None:
    detail = event.get("progressDetail") or {}
    if event.get("status") == "Pushing" and detail.get("total"):
        total = int(detail["total"])
        layers[event["id"]] = (min(int(detail.get("current", 0)), total), total)


def _refused(name: str, registry: str, said: str) -> FlarefleetError:
    lower = said.lower()
    if any(word in lower for word in ("no basic auth", "unauthorized", "authentication required", "denied")):
        return Failed(
            f"{registry} refuses {name}: not logged in, or not allowed to push. "
            f"Log in: docker login {registry}"
        )
    if any(
        word in lower for word in ("connection refused", "no such host", "i/o timeout", "deadline exceeded")
    ):
        return Failed(f"{registry} does not answer, so {name} was not pushed: {said}")
    if "http response to https client" in lower:
        return Failed(
            f"{registry} speaks plain HTTP, which the engine accepts only from the registries that "
            f"insecure-registries of its daemon.json names: {name} was not pushed"
        )
    return engine_error(f"{name} was not pushed to {registry}", said)
