"""Build the runtime image once, then a thin image for the server and each site."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from deploy.checkout import CHECKOUT, IS_CHECKOUT
from deploy.errors import InputError
from deploy.images import inputs
from deploy.images.buildkit import Build, BuildProgress, find_builder
from deploy.images.kit_layer import kit_layer
from deploy.images.names import (
    LABEL_KIT,
    LABEL_PROJECT,
    LABEL_SITE,
    LABEL_SOURCE,
    runtime_image,
    site_image,
)
from deploy.images.sbom import read_sbom
from deploy.programs import output_of
from deploy.project import Image, Project
from deploy.project.extras import VLA
from deploy.workspace import Workspace
from fl_app.contract import flarefleet_version
from fl_app.files import write_atomically
from fl_app.temporary_folders import temporary_folder

DEFAULT_SOURCE_DATE_EPOCH = 1767225600
"""2026-01-01. A fixed default, so that a new commit does not rebuild torch's layer."""


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build that are not in project.yml.

    Args:
        base_image: Debian 12 image, or one derived from it (default: the Dockerfile's).
        wheels: folder with torch's wheels (default: download them).
        index_url: Python index for the build.
        cached: use the cache of earlier builds.
    """

    base_image: str | None = None
    wheels: Path | None = None
    index_url: str | None = None
    cached: bool = True


def build_images(
    client: docker.DockerClient,
    project: Project,
    workspace: Workspace,
    *,
    site: str | None = None,
    options: BuildOptions | None = None,
    progress: BuildProgress | None = None,
) -> list[str]:
    """Build the runtime image, and the images of the server and all sites or of `site` only.

    It also writes the bill of materials of the runtime image to workspace/PROJECT/images/.

    Returns:
        The names of the images.

    Raises:
        InputError: there is no such site, or its kit is missing or holds a private key in an unexpected file.
        Failed: a step of a build failed.
        MachineError: no docker program can build, torch is missing, or the disk is full.
    """
    names = participant_names(project, site)
    layers = _layers(workspace, names)
    runtime = build_runtime(client, project.image, options, progress)
    sbom = workspace.root / "images" / "flarefleet.cdx.json"
    sbom.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(sbom, read_sbom(client, runtime))
    return [runtime, *(build_site(project, name, layers[name], progress) for name in names)]


def build_runtime(
    client: docker.DockerClient,
    image: Image,
    options: BuildOptions | None = None,
    progress: BuildProgress | None = None,
) -> str:
    """Build the runtime image of a variant and its extras, and return its name.

    It raises the same errors as `build_images`.
    """
    chosen = options or BuildOptions()
    builder = find_builder()
    if chosen.wheels is not None and VLA in image.extras:
        raise InputError(
            "--wheels: not supported for images with the extra vla, which use the torch of "
            "requirements/vla-torch.txt. Use --index-url for an index that has it."
        )
    inputs.prepare_build_inputs(image.variant, chosen.wheels, source_date_epoch())
    arguments = runtime_arguments(image, chosen)
    tag = runtime_image(image)
    builder.run(
        Build(
            tag=tag,
            target="runtime",
            dockerfile=inputs.DOCKERFILE,
            context=inputs.build_context(),
            arguments=arguments,
            labels={
                **_oci_labels(),
                **_base_digest(client, arguments["BASE_IMAGE"]),
                LABEL_SOURCE: inputs.source_digest(image.variant),
            },
            cached=chosen.cached,
        ),
        progress,
    )
    return tag


def runtime_arguments(image: Image, options: BuildOptions) -> dict[str, str]:
    """Return the build arguments of the runtime image of a variant and its extras."""
    arguments = {
        "VARIANT": image.variant,
        "SOURCE_DATE_EPOCH": str(source_date_epoch()),
        "BASE_IMAGE": options.base_image or default_base_image(),
    }
    if image.extras:
        arguments["EXTRAS"] = "-".join(sorted(image.extras))
    if options.index_url:
        arguments["INDEX_URL"] = options.index_url
    return arguments


def build_site(
    project: Project,
    name: str,
    layer: bytes,
    progress: BuildProgress | None = None,
    *,
    cached: bool = True,
) -> str:
    """Build the image of the server or a site on the existing runtime image, and return its name."""
    builder = find_builder()
    tag = site_image(project, name)
    labels = {
        **_oci_labels(),
        "org.opencontainers.image.title": f"Flarefleet: {name} of {project.name}",
        LABEL_KIT: hashlib.sha256(layer).hexdigest(),
        LABEL_PROJECT: project.name,
        LABEL_SITE: name,
    }
    arguments = {"RUNTIME_IMAGE": runtime_image(project.image), "VARIANT": project.image.variant}
    with temporary_folder("flarefleet-image-") as folder:
        (folder / "kit.tar").write_bytes(layer)
        build = Build(tag, "site", inputs.DOCKERFILE, folder, arguments, labels, cached)
        builder.run(build, progress)
    return tag


def ensure_site_images(
    client: docker.DockerClient, project: Project, workspace: Workspace, progress: BuildProgress | None = None
) -> dict[str, str]:
    """Return the image of the server and of each site, and build those that are missing or outdated.

    It raises the same errors as `build_images`.
    """
    layers = _layers(workspace, participant_names(project))
    stale = [name for name in layers if not _is_current(client, project, name, layers[name])]
    if stale and not _matches_sources(_labels(client, runtime_image(project.image)), project.image):
        build_runtime(client, project.image, progress=progress)
        stale = list(layers)
    for name in stale:
        build_site(project, name, layers[name], progress)
    return {name: site_image(project, name) for name in layers}


def participant_names(project: Project, site: str | None = None) -> list[str]:
    """Return the names of the server and the sites, or only `site`.

    Raises:
        InputError: project.yml has no such server or site.
    """
    parents = project.parents if site is None else [project.parent(site)]
    return [parent.name for parent in parents]


def source_date_epoch() -> int:
    """Return the modification time of every file in an image, in seconds since 1970.

    Raises:
        InputError: SOURCE_DATE_EPOCH is invalid.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return DEFAULT_SOURCE_DATE_EPOCH
    if not text.isascii() or not text.isdecimal():
        raise InputError(f"SOURCE_DATE_EPOCH must be a whole number of seconds since 1970, not {text!r}")
    return int(text)


def default_base_image() -> str:
    """Return the base image of the Dockerfile."""
    lines = inputs.DOCKERFILE.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("ARG BASE_IMAGE=")).partition("=")[2]


def _layers(workspace: Workspace, names: list[str]) -> dict[str, bytes]:
    for name in names:
        if not (kit := workspace.kit(name)).is_dir():
            raise InputError(f"{kit}: the startup kit of {name} is missing. Run: flarefleet provision")
    return {name: kit_layer(workspace.kit(name), source_date_epoch()) for name in names}


def _is_current(client: docker.DockerClient, project: Project, name: str, layer: bytes) -> bool:
    """Return whether the image of a site exists, and matches its kit and the sources."""
    found = _labels(client, site_image(project, name))
    return found.get(LABEL_KIT) == hashlib.sha256(layer).hexdigest() and _matches_sources(
        found, project.image
    )


def _matches_sources(labels: dict[str, str], image: Image) -> bool:
    """Return whether an image exists and was built from these sources."""
    return labels.get(LABEL_SOURCE) == inputs.source_digest(image.variant)


def _labels(client: docker.DockerClient, name: str) -> dict[str, str]:
    """Return the labels of an image; none if this engine does not have it."""
    try:
        return dict(client.images.get(name).labels)
    except ImageNotFound:
        return {}


def _oci_labels() -> dict[str, str]:
    labels = {"org.opencontainers.image.version": flarefleet_version()}
    if source := _git("config", "--get", "remote.origin.url"):
        # without user and password
        labels["org.opencontainers.image.source"] = re.sub(r"(?<=://)[^/@]*@", "", source)
    if revision := _git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"):
        labels["org.opencontainers.image.revision"] = revision
    created = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    if created:
        labels["org.opencontainers.image.created"] = datetime.fromtimestamp(
            int(created), timezone.utc
        ).isoformat()
    return labels


def _git(*arguments: str) -> str:
    """Return the output of git in this checkout, or "" without git or outside of a checkout."""
    if not IS_CHECKOUT:
        return ""
    return (output_of("git", "-C", str(CHECKOUT), *arguments) or "").strip()


def _base_digest(client: docker.DockerClient, base: str) -> dict[str, str]:
    """Return the digest of the base image as a label, if the image came from a registry."""
    try:
        digests: Sequence[str] = client.images.get(base).attrs.get("RepoDigests") or ()
    except ImageNotFound:
        return {}
    return {"org.opencontainers.image.base.digest": digests[0].partition("@")[2]} if digests else {}
