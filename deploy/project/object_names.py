"""Names of Kubernetes and Compose objects, derived from names in project.yml, and their collisions."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST_RELEASE = 52
"""As in the charts: Kubernetes appends a revision hash to the name of a StatefulSet, in a label of 63."""


def release_name(name: str) -> str:
    """Return the name of a participant's Helm release and objects: its name with hyphens for dots."""
    return name.replace(".", "-")[:LONGEST_RELEASE].rstrip("-")


def namespace_of(name: str, namespace: str | None) -> str:
    """Return the namespace of a participant: project.yml's, or one with the name of its Helm release."""
    return namespace or release_name(name)


def compose_name(name: str) -> str:
    """Return the Compose project name of a federation; it is the prefix of every container and volume."""
    return "flare-" + re.sub(r"[^a-z0-9_-]", "-", name.lower())


def host_compose_name(project: str, name: str) -> str:
    """Return the Compose project name of a server or site on a host of its own."""
    return compose_name(f"{project}-{name}")


def unique_objects(project: str, name: str, namespace: str | None) -> tuple[str, str]:
    """Describe the objects of a server or site that no other one of the project may have."""
    return (
        f"the Helm release {release_name(name)} in the namespace {namespace_of(name, namespace)}",
        f"the Compose project {host_compose_name(project, name)}",
    )


def colliding_project(name: str, workspace: Path) -> str | None:
    """Return another provisioned project in `workspace` with the Compose project name of `name`, if any."""
    try:
        projects = sorted(folder.name for folder in workspace.iterdir() if (folder / "state").is_dir())
    except OSError:
        return None
    return next(
        (other for other in projects if other != name and compose_name(other) == compose_name(name)), None
    )
