"""Names of the images of a federation, and their labels."""

from __future__ import annotations

import re

from deploy.project import Image, Project

LABEL_SOURCE = "flare.source"
"""SHA-256 of the sources of the runtime image."""
LABEL_KIT = "flare.kit"
"""SHA-256 of the layer with the public part of the kit."""
LABEL_PROJECT = "flare.project"
LABEL_SITE = "flare.site"
LABEL_VARIANT = "flare.variant"


def runtime_image(image: Image) -> str:
    """Return the image of every role: REGISTRY/runtime:TAG-VARIANT, with extras as in TAG-cpu-flower."""
    return f"{image.registry}/runtime:{_tag(image)}"


def site_image(project: Project, name: str) -> str:
    """Return the image of the server or a site: REGISTRY/PROJECT/NAME with the tag of the runtime image."""
    # A path in a registry is lower case and has no repeated separators.
    path = re.sub(r"[^a-z0-9]+", "-", project.name.lower()).strip("-")
    return f"{project.image.registry}/{path}/{name}:{_tag(project.image)}"


def _tag(image: Image) -> str:
    return "-".join([image.tag, image.variant, *sorted(image.extras)])
