"""What must hold in `deployment`: the sites it names, and what each of them asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.project.extras import extras_fault
from deploy.project.quantities import amount, quantity_fault
from deploy.project.validation.diagnostics import Diagnostic, Known, Location, meant, shown
from deploy.project.validation.entries import entries_of, mapping_of
from deploy.project.validation.names import label_fault

_LONGEST_DATASET = 50
_BYTES = ("memory", "ephemeral-storage")
_RESOURCES = ("cpu", *_BYTES)


def deployment_mistakes(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """What is wrong with `deployment`, beyond the shape of its parts."""
    deployment = document.get("deployment")
    if not isinstance(deployment, dict):
        return
    sites = mapping_of(deployment.get("sites"))
    parts: dict[Location, object] = {("deployment", "defaults"): deployment.get("defaults")}
    parts |= {("deployment", "sites", name): site for name, site in sites.items()}
    yield from _strangers(document, sites)
    image = mapping_of(deployment.get("image"))
    yield from _extras(image)
    for at, site in parts.items():
        yield from _resources(mapping_of(mapping_of(site).get("resources")), (*at, "resources"))
        yield from _datasets(mapping_of(mapping_of(site).get("datasets")), (*at, "datasets"))
        yield from _gpus(mapping_of(site).get("gpus"), image, (*at, "gpus"))


def _strangers(document: Mapping[str, Any], sites: Mapping[str, Any]) -> Iterator[Diagnostic]:
    entries = entries_of(document)
    known = [entry.name for entry in entries if entry.type in ("client", "server")]
    near = Known(known)
    people = {entry.name for entry in entries if entry.type == "admin"}
    for name in sites:
        if name in people:
            yield Diagnostic(
                ("deployment", "sites", name), "is an administrator, who runs nowhere; take it out"
            )
        elif name not in known:
            hint = near.hint(name, "the sites are")
            yield Diagnostic(
                ("deployment", "sites", name), f"no client or server has the name {shown(name)}; {hint}"
            )


def _extras(image: Mapping[str, Any]) -> Iterator[Diagnostic]:
    extras = image.get("extras")
    named = [name for name in extras if isinstance(name, str)] if isinstance(extras, list) else []
    if (fault := extras_fault(named, image.get("variant", "cpu"))) is not None:
        yield Diagnostic(("deployment", "image", "extras"), fault)


def _gpus(gpus: object, image: Mapping[str, Any], at: Location) -> Iterator[Diagnostic]:
    if isinstance(gpus, int) and gpus > 0 and image.get("variant", "cpu") == "cpu":
        yield Diagnostic(at, "the cpu images use no GPU; write variant: gpu in deployment.image, or gpus: 0")


def _resources(resources: Mapping[str, Any], at: Location) -> Iterator[Diagnostic]:
    for part in ("requests", "limits"):
        for name, value in mapping_of(resources.get(part)).items():
            yield from _resource(name, value, (*at, part, name))
    limits = mapping_of(resources.get("limits"))
    for name, value in mapping_of(resources.get("requests")).items():
        wanted, most = amount(str(value)), amount(str(limits[name])) if name in limits else None
        if wanted is not None and most is not None and wanted > most:
            yield Diagnostic((*at, "requests", name), f"{value} is more than its limit, {limits[name]}")


def _resource(name: str, value: object, at: Location) -> Iterator[Diagnostic]:
    if name.endswith(("/gpu", ".gpu")):
        yield Diagnostic(at, "GPUs are asked for with gpus: NUMBER, beside resources")
    elif name not in _RESOURCES and "/" not in name and not name.startswith("hugepages-"):
        yield Diagnostic(at, f"unknown resource; {meant(name, _RESOURCES)}")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        fault = quantity_fault(str(value), is_bytes=name in _BYTES or name.startswith("hugepages-"))
        if fault is not None:
            yield Diagnostic(at, fault)


def _datasets(datasets: Mapping[str, Any], at: Location) -> Iterator[Diagnostic]:
    for name in datasets:
        if (fault := label_fault(name, _LONGEST_DATASET)) is not None:
            yield Diagnostic((*at, name), fault)
