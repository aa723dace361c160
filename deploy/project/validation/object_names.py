"""Validation of names that become the same object in Kubernetes or Compose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.project.object_names import colliding_project, compose_name, unique_objects
from deploy.project.validation.diagnostics import Diagnostic
from deploy.project.validation.entries import entries_of, mapping_of, text_at


def validate_object_names(document: Mapping[str, Any], workspace: Path | None) -> Iterator[Diagnostic]:
    """Find servers and sites, and projects in the workspace, with the same object names."""
    project = text_at(document, "name")
    settings = mapping_of(mapping_of(document.get("deployment")).get("sites"))
    first: dict[str, str] = {}
    for entry in entries_of(document):
        if entry.type not in ("server", "client") or entry.name.lower() in map(str.lower, first.values()):
            continue  # validate_participants reports names that differ only in case
        namespace = text_at(settings.get(entry.name), "namespace")
        for shared in unique_objects(project, entry.name, namespace or None):
            earlier = first.setdefault(shared, entry.name)
            if earlier != entry.name:
                text = f"{entry.name} and {earlier} both become {shared}; rename one of them"
                yield Diagnostic((*entry.at, "name"), text)
                break
    if workspace is not None and project and (other := colliding_project(project, workspace)):
        yield Diagnostic(
            ("name",),
            f"{project} and {other}, another federation in {workspace}, both become the Compose project "
            f"{compose_name(project)}; choose another name, or delete {workspace / other} if it is unused",
        )
