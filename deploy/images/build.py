"""Building: the runtime image once, then a thin image for the server and each site."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from deploy.checkout import CHECKOUT
from deploy.errors import InputError
from deploy.images import inputs
from deploy.images.buildkit import Build, Progress, find_builder
from deploy.images.kit_layer import KitLayer, kit_layer
from deploy.images.names import (
    LABEL_KIT,
    LABEL_PROJECT,
    LABEL_SITE,
    LABEL_SOURCE,
    runtime_image,
    site_image,
)
from deploy.images.sbom import write_sbom
from deploy.project import Image, Project
from deploy.project.extras import VLA
from deploy.workspace import Workspace
from fl_app.contract import kit_version

FILE_TIME = 1767225600
"""2026-01-01: the time of every file in an image where SOURCE_DATE_EPOCH says nothing else.

It never changes, so that a new commit does not build torch's layer anew.
"""


@dataclass(frozen=True)
class Options:
    """What may be chosen for a build besides project.yml.

    Args:
        base_image: a Debian 12 (or one made from it), in place of the Dockerfile's.
        wheels: a folder with torch's wheels; fetched if None.
        index_url: the Python index that the build installs from.
        cached: whether steps of earlier builds may be taken.
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
    options: Options | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Build the runtime image and the image of the server and every site, or of `site` alone; their names.

    The bill of materials of the runtime lies beside the kits afterwards: workspace/PROJECT/images/.

    Raises:
        InputError: no such site, or its kit is missing or holds a secret that is none of its keys.
        Failed: a step of a build failed.
        MachineError: no builder, no torch, no disk.
    """
    names = members(project, site)
    layers = {name: kit_layer(_kit(workspace, name), file_time()) for name in names}
    runtime = build_runtime(client, project.image, options, progress)
    write_sbom(client, runtime, workspace.root / "images" / "flarefleet.cdx.json")
    return [runtime, *(build_site(project, name, layers[name], progress) for name in names)]


def build_runtime(
    client: docker.DockerClient,
    image: Image,
    options: Options | None = None,
    progress: Progress | None = None,
) -> str:
    """Build the runtime image of a variant and its extras; its name. What it raises: see `build_images`."""
    chosen = options or Options()
    builder = find_builder()
    inputs.require_checkout()
    if chosen.wheels is not None and VLA in image.extras:
        raise InputError(
            "--wheels: images with the extra vla take torch as requirements/vla-torch.txt locks it. Leave "
            "--wheels out; --index-url names an index of yours that has it"
        )
    inputs.prepare(image.variant, chosen.wheels, file_time())
    arguments = runtime_arguments(image, chosen)
    tag = runtime_image(image)
    builder.run(
        Build(
            tag=tag,
            target="runtime",
            dockerfile=inputs.DOCKERFILE,
            context=CHECKOUT,
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


def runtime_arguments(image: Image, options: Options) -> dict[str, str]:
    """The build arguments of the runtime image of a variant and its extras."""
    arguments = {
        "VARIANT": image.variant,
        "SOURCE_DATE_EPOCH": str(file_time()),
        "BASE_IMAGE": options.base_image or default_base_image(),
    }
    if image.extras:
        arguments["EXTRAS"] = "-".join(sorted(image.extras))
    if options.index_url:
        arguments["INDEX_URL"] = options.index_url
    return arguments


def build_site(
    project: Project, name: str, layer: KitLayer, progress: Progress | None = None, *, cached: bool = True
) -> str:
    """Build the image of the server or a site on the runtime image, which must be there; its name."""
    builder = find_builder()
    inputs.require_checkout()
    tag = site_image(project, name)
    with tempfile.TemporaryDirectory(prefix="flarefleet-image-") as folder:
        (Path(folder) / "kit.tar").write_bytes(layer.content)
        builder.run(replace(_site_build(project, name, layer, Path(folder), tag), cached=cached), progress)
    return tag


def ensure_site_images(
    client: docker.DockerClient, project: Project, workspace: Workspace, progress: Progress | None = None
) -> dict[str, str]:
    """The image of the server and each site by its name; built where it is missing or out of date.

    For what it raises, see `build_images`.
    """
    layers = {name: kit_layer(_kit(workspace, name), file_time()) for name in members(project)}
    stale = [name for name in layers if not _is_current(client, project, name, layers[name])]
    if stale and not _runtime_is_current(client, project.image):
        build_runtime(client, project.image, progress=progress)
        stale = list(layers)
    for name in stale:
        build_site(project, name, layers[name], progress)
    return {name: site_image(project, name) for name in layers}


def members(project: Project, site: str | None = None) -> list[str]:
    """The server and the sites, or `site` alone.

    Raises:
        InputError: there is no such server or site.
    """
    names = [parent.name for parent in project.parents]
    if site is None:
        return names
    if site not in names:
        raise InputError(f"{project.path} has no server or site {site}. It has: {', '.join(names)}")
    return [site]


def file_time() -> int:
    """The time of every file in an image: SOURCE_DATE_EPOCH, otherwise a fixed day.

    Raises:
        InputError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return FILE_TIME
    if not text.isascii() or not text.isdecimal():
        raise InputError(f"SOURCE_DATE_EPOCH must be a whole number of seconds since 1970, not {text!r}")
    return int(text)


def default_base_image() -> str:
    """What the Dockerfile builds on by itself."""
    lines = inputs.DOCKERFILE.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("ARG BASE_IMAGE=")).partition("=")[2]


def _kit(workspace: Workspace, name: str) -> Path:
    kit = workspace.kit(name)
    if not kit.is_dir():
        raise InputError(f"{name} has no startup kit at {kit}. Make it: flarefleet provision")
    return kit


def _site_build(project: Project, name: str, layer: KitLayer, context: Path, tag: str) -> Build:
    return Build(
        tag=tag,
        target="site",
        dockerfile=inputs.DOCKERFILE,
        context=context,
        arguments={"RUNTIME_IMAGE": runtime_image(project.image), "VARIANT": project.image.variant},
        labels={
            **_oci_labels(),
            "org.opencontainers.image.title": f"Flarefleet: {name} of {project.name}",
            LABEL_KIT: layer.digest,
            LABEL_PROJECT: project.name,
            LABEL_SITE: name,
        },
    )


def _runtime_is_current(client: docker.DockerClient, image: Image) -> bool:
    """Whether the runtime image is there, and is made of this checkout where there is one."""
    found = _labels(client, runtime_image(image))
    if found is None:
        return False
    return not inputs.DOCKERFILE.is_file() or found.get(LABEL_SOURCE) == inputs.source_digest(image.variant)


def _is_current(client: docker.DockerClient, project: Project, name: str, layer: KitLayer) -> bool:
    """Whether the image of a site is there, with this kit, on the runtime of this checkout."""
    found = _labels(client, site_image(project, name))
    if found is None or found.get(LABEL_KIT) != layer.digest:
        return False
    return not inputs.DOCKERFILE.is_file() or found.get(LABEL_SOURCE) == inputs.source_digest(
        project.image.variant
    )


def _labels(client: docker.DockerClient, name: str) -> dict[str, str] | None:
    try:
        labels: dict[str, str] = client.images.get(name).labels
    except ImageNotFound:
        return None
    return labels


def _oci_labels() -> dict[str, str]:
    labels = {"org.opencontainers.image.version": kit_version()}
    if source := _without_login(_git("config", "--get", "remote.origin.url")):
        labels["org.opencontainers.image.source"] = source
    if revision := _git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"):
        labels["org.opencontainers.image.revision"] = revision
    created = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    if created:
        labels["org.opencontainers.image.created"] = datetime.fromtimestamp(
            int(created), timezone.utc
        ).isoformat()
    return labels


def _git(*arguments: str) -> str:
    """What git says of this checkout; nothing where there is no git or no repository."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _without_login(url: str) -> str:
    """A repository's address without the user and password that a checkout may keep in it."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def _base_digest(client: docker.DockerClient, base: str) -> dict[str, str]:
    """The digest of the base image, where it came from a registry."""
    try:
        digests: Sequence[str] = client.images.get(base).attrs.get("RepoDigests") or ()
    except ImageNotFound:
        return {}
    return {"org.opencontainers.image.base.digest": digests[0].partition("@")[2]} if digests else {}
