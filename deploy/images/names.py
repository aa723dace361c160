"""What the images of a federation are called, and the labels that say what is in them."""

from __future__ import annotations

import re

from deploy.project import Image, Project

LABEL_SOURCE = "flare.source"
"""SHA-256 of all that the runtime image is built from, in this checkout."""
LABEL_KIT = "flare.kit"
"""SHA-256 of the layer that holds the public part of the kit."""
LABEL_PROJECT = "flare.project"
LABEL_SITE = "flare.site"
LABEL_VARIANT = "flare.variant"


def runtime_image(image: Image) -> str:
    """The image of every role: REGISTRY/runtime:TAG-VARIANT, and behind it its extras: TAG-cpu-flower."""
    return f"{image.registry}/runtime:{_tag(image)}"


def site_image(project: Project, name: str) -> str:
    """The image of the server or a site: REGISTRY/PROJECT/NAME, with the tag of the runtime image."""
    return f"{project.image.registry}/{_path(project.name)}/{name}:{_tag(project.image)}"


def _tag(image: Image) -> str:
    return "-".join([image.tag, image.variant, *sorted(image.extras)])


def _path(project: str) -> str:
    """A project's name as a folder of a registry, which knows no capitals and no two separators in a row."""
    return re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")
