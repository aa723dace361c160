"""Validation of `deployment`: the image, and the settings of each site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.project.extras import HE, extras_error
from deploy.project.quantities import amount, quantity_error
from deploy.project.validation.builders import HE_BUILDER
from deploy.project.validation.diagnostics import Choices, Diagnostic, Location, quoted
from deploy.project.validation.entries import entries_of, list_of, mapping_of, text_at
from deploy.project.validation.names import label_error

_LONGEST_DATASET = 50
_BYTES = ("memory", "ephemeral-storage")
_RESOURCES = ("cpu", *_BYTES)


def validate_deployment(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Validate `deployment`, beyond keys and types."""
    deployment = document.get("deployment")
    if not isinstance(deployment, dict):
        return
    sites = mapping_of(deployment.get("sites"))
    sections: dict[Location, object] = {("deployment", "defaults"): deployment.get("defaults")}
    sections |= {("deployment", "sites", name): site for name, site in sites.items()}
    yield from _site_names(document, sites)
    image = mapping_of(deployment.get("image"))
    extras = [name for name in list_of(image.get("extras")) if isinstance(name, str)]
    if any(text_at(builder, "path") == HE_BUILDER for builder in list_of(document.get("builders"))):
        extras.append(HE)
    if (error := extras_error(extras, image.get("variant", "cpu"))) is not None:
        yield Diagnostic(("deployment", "image", "extras"), error)
    for at, section in sections.items():
        settings = mapping_of(section)
        yield from _resources(mapping_of(settings.get("resources")), (*at, "resources"))
        for name in mapping_of(settings.get("datasets")):
            if (error := label_error(name, _LONGEST_DATASET)) is not None:
                yield Diagnostic((*at, "datasets", name), error)
        yield from _gpus(settings.get("gpus"), image, (*at, "gpus"))


def _site_names(document: Mapping[str, Any], sites: Mapping[str, Any]) -> Iterator[Diagnostic]:
    entries = entries_of(document)
    parents = [entry.name for entry in entries if entry.type in ("client", "server")]
    choices = Choices(parents)
    admins = {entry.name for entry in entries if entry.type == "admin"}
    for name in sites:
        at = ("deployment", "sites", name)
        if name in admins:
            yield Diagnostic(at, "is an administrator, which has no deployment; remove it")
        elif name not in parents:
            yield Diagnostic(
                at, f"no client or server is named {quoted(name)}; {choices.hint(name, 'sites')}"
            )


def _gpus(gpus: object, image: Mapping[str, Any], at: Location) -> Iterator[Diagnostic]:
    if isinstance(gpus, int) and gpus > 0 and image.get("variant", "cpu") == "cpu":
        yield Diagnostic(at, "cpu images cannot use GPUs; write variant: gpu in deployment.image, or gpus: 0")


def _resources(resources: Mapping[str, Any], at: Location) -> Iterator[Diagnostic]:
    for part in ("requests", "limits"):
        for name, value in mapping_of(resources.get(part)).items():
            yield from _resource(name, value, (*at, part, name))
    limits = mapping_of(resources.get("limits"))
    for name, value in mapping_of(resources.get("requests")).items():
        request, limit = amount(str(value)), amount(str(limits[name])) if name in limits else None
        if request is not None and limit is not None and request > limit:
            yield Diagnostic((*at, "requests", name), f"{value} is more than its limit, {limits[name]}")


def _resource(name: str, value: object, at: Location) -> Iterator[Diagnostic]:
    if name.endswith(("/gpu", ".gpu")):
        yield Diagnostic(at, "request GPUs with gpus: NUMBER, beside resources")
    elif name not in _RESOURCES and "/" not in name and not name.startswith("hugepages-"):
        yield Diagnostic(at, f"unknown resource; {Choices(_RESOURCES).hint(name, 'resources')}")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        is_bytes = name in _BYTES or name.startswith("hugepages-")
        if (error := quantity_error(str(value), is_bytes=is_bytes)) is not None:
            yield Diagnostic(at, error)
