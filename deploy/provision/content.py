"""Compute what each kit depends on: parts of project.yml and of this program.

A kit is built again if and only if one of these parts has changed; the report names that part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from deploy.errors import InputError
from deploy.project import Project
from deploy.project.allowed_components import kit_classes
from deploy.project.validation.builders import HE_BUILDER, REQUIRED, SIGNATURE_BUILDER
from deploy.provision.state import CertificateIdentity, digest_of
from fl_app.contract import NVFLARE_VERSION, flarefleet_version

PER_KIT = (*REQUIRED, HE_BUILDER, SIGNATURE_BUILDER)
"""Builders that make each kit from its own entry only. Other builders may put anything into any kit."""

REASONS = {
    "release": f"it is now built by NVFlare {NVFLARE_VERSION} and Flarefleet {flarefleet_version()}",
    "entry": "its entry in project.yml has changed",
    "server": "the server's entry in project.yml has changed",
    "federation": "settings of the whole federation have changed",
    "builders": "the builders have changed",
    "deployment": "its deployment has changed",
    "components": "the components that jobs may use have changed",
    "logs": "whether sites share their logs of jobs has changed",
    "capacity": "the number of clients that the server accepts has changed",
    "studies": "the studies have changed",
    "files": "a file that project.yml names has changed",
    "participants": "a custom builder in project.yml rebuilds every kit when any participant changes",
}
"""Reason to build a kit again, by the name of the part that has changed."""

MIN_CLIENTS = 100
"""Lowest value of max_num_clients: NVFlare's default."""
_KIT_WRITERS = (
    "builders.py",
    "local.py",
    "kept_context_builder.py",
    "provisioner_adapters.py",
    "../../fl_app/nvflare_internals/provisioning.py",
)
_IN_EVERY_KIT = {"api_version", "name", "connection_security", "custom_ca_cert", "allow_log_streaming"}
_AFFECTS_OTHER_KITS = ("parent", "connect_to", "auth_identity")
"""Keys of a client that change the kits of other participants."""
_SERVER_KIT_ONLY = ("host_names", "org")
"""Keys of the server that change only its own kit."""


@dataclass(frozen=True)
class KitSpec:
    """The kit of one participant as project.yml describes it."""

    name: str
    identity: CertificateIdentity
    parts: dict[str, str]


def kit_specs(project: Project) -> dict[str, KitSpec]:
    """Return every participant's kit as project.yml describes it."""
    entries = participants_of(project)
    server = next(entry for entry in entries if entry["type"] == "server")
    common = _common(project, entries)
    server_in_other_kits = _digest(
        {key: value for key, value in server.items() if key not in _SERVER_KIT_ONLY}
    )
    deployments = {parent.name: parent.deployment.model_dump(mode="json") for parent in project.parents}
    kits = {}
    for entry in entries:
        name = entry["name"]
        parts = {**common, "entry": _digest(entry)}
        parts["files"] = _digest([digest_of(content) for content in _contents(project, entry)])
        parts["deployment"] = _digest(deployments.get(name))
        if name in deployments:
            parts["components"] = _digest(kit_classes(project))
        if entry is server:
            parts["capacity"] = str(max_clients(len(project.sites)))
            parts["studies"] = _digest(project.model_dump(mode="json", include={"studies"}))
        else:
            parts["server"] = server_in_other_kits
        if entry["type"] in ("client", "server"):
            parts["logs"] = project.logs
        kits[name] = KitSpec(name, _identity(entry), parts)
    return kits


def participants_of(project: Project) -> list[dict[str, Any]]:
    """Return the entries of project.yml that get a kit."""
    return [entry.model_dump(mode="json", exclude_unset=True) for entry in project.participants]


def builders_of(project: Project) -> list[dict[str, Any]]:
    """Return the builders of project.yml."""
    return [builder.model_dump(exclude_unset=True) for builder in project.builders]


def max_clients(sites: int) -> int:
    """Return the server's max_num_clients: `sites` and a quarter, rounded up to change rarely."""
    limit = MIN_CLIENTS
    while limit * 4 < sites * 5:
        limit *= 2
    return limit


def _common(project: Project, entries: list[dict[str, Any]]) -> dict[str, str]:
    affecting_others = {
        entry["name"]: entry
        for entry in entries
        if entry["type"] == "client" and any(key in entry for key in _AFFECTS_OTHER_KITS)
    }
    builders = builders_of(project)
    common = {
        "release": f"{NVFLARE_VERSION} {flarefleet_version()} {_program()}",
        "federation": _digest([project.model_dump(mode="json", include=_IN_EVERY_KIT), affecting_others]),
        "builders": _digest([builders, project.scheme]),
    }
    if any(builder["path"] not in PER_KIT for builder in builders):
        common["participants"] = _digest(entries)
    return common


def _identity(entry: dict[str, Any]) -> CertificateIdentity:
    hosts: tuple[str, ...] = ()
    if entry["type"] == "server":
        further = entry.get("host_names", ())
        # Sites in the same container network use the server's own name.
        hosts = tuple(dict.fromkeys([entry.get("default_host") or entry["name"], *further, entry["name"]]))
    role = entry.get("role") if entry["type"] == "admin" else None
    return CertificateIdentity(kind=entry["type"], org=entry["org"], role=role, hosts=hosts)


def _contents(project: Project, entry: dict[str, Any]) -> Iterator[bytes]:
    """Yield the content of the files that the entry names."""
    named = entry.get("custom_ca_cert") or project.custom_ca_cert
    if named:
        try:
            yield Path(named).read_bytes()
        except OSError as error:
            raise InputError(
                f"{project.path}: custom_ca_cert of {entry['name']}: {named} cannot be read "
                f"({error.strerror}); a relative path starts at the folder in which flarefleet runs"
            ) from error


@cache
def _program() -> str:
    """Return the digest of the code that writes kits, so that a change of it rebuilds every kit."""
    folder = Path(__file__).parent
    return digest_of(b"".join((folder / name).read_bytes() for name in _KIT_WRITERS))[:16]


def _digest(document: object) -> str:
    return digest_of(json.dumps(document, sort_keys=True, default=str).encode())[:16]
