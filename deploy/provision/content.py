"""From what each kit is made: the parts of project.yml, and of this program, that decide its content.

A kit is made again when one of its parts has changed, and only then; that part is the reason reported.
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
from deploy.provision.state import Identity, digest_of
from fl_app.contract import NVFLARE_VERSION, kit_version

_LIGHTER = "nvflare.lighter.impl"
WORKSPACE_BUILDER = f"{_LIGHTER}.workspace.WorkspaceBuilder"
STATIC_FILE_BUILDER = f"{_LIGHTER}.static_file.StaticFileBuilder"
CERT_BUILDER = f"{_LIGHTER}.cert.CertBuilder"
SIGNATURE_BUILDER = f"{_LIGHTER}.signature.SignatureBuilder"
PER_KIT = (WORKSPACE_BUILDER, STATIC_FILE_BUILDER, CERT_BUILDER, SIGNATURE_BUILDER)
"""Builders that make each kit from its own entry; others may put anything of the federation into any kit."""

REASONS = {
    "release": f"it is now made by NVFlare {NVFLARE_VERSION} and Flarefleet {kit_version()}",
    "entry": "its entry in project.yml has changed",
    "server": "the server's entry in project.yml has changed",
    "federation": "settings of the whole federation have changed",
    "builders": "the builders have changed",
    "deployment": "its deployment has changed",
    "capacity": "the number of clients that the server admits has changed",
    "studies": "the studies have changed",
    "files": "a file that project.yml names has changed",
    "everybody": "a builder of project.yml's own makes every kit anew when any participant changes",
}
"""Why a kit is made again, by the name of the part that has changed."""

FEWEST_CLIENTS = 100
"""NVFlare's own max_num_clients: more is needed, less would gain nothing."""
_MADE_BY = ("builders.py", "local.py", "guarded_builders.py")
_IN_EVERY_KIT = {"api_version", "name", "connection_security", "custom_ca_cert", "allow_log_streaming"}
_SHAPES_OTHERS = ("parent", "connect_to", "auth_identity")
"""Keys of a client that reach into the kits of others."""
_OWN_TO_THE_SERVER = ("host_names", "org")
"""Keys of the server that its own kit alone carries."""


@dataclass(frozen=True)
class Wanted:
    """The kit of one participant, as project.yml wants it."""

    name: str
    identity: Identity
    parts: dict[str, str]


def wanted_kits(project: Project) -> dict[str, Wanted]:
    """Every participant's kit, as project.yml wants it."""
    entries = participants_of(project)
    server = next(entry for entry in entries if entry["type"] == "server")
    common = _common(project, entries)
    as_others_see_it = _digest({key: value for key, value in server.items() if key not in _OWN_TO_THE_SERVER})
    deployments = {site.name: site.deployment.model_dump(mode="json") for site in project.sites}
    kits = {}
    for entry in entries:
        name = entry["name"]
        parts = {**common, "entry": _digest(entry), "files": _named_files(project, entry)}
        if entry is server:
            parts["capacity"] = str(max_clients(len(project.sites)))
            parts["studies"] = _digest(project.model_dump(mode="json", include={"studies"}))
            parts["deployment"] = _digest(project.server.deployment.model_dump(mode="json"))
        else:
            parts["server"] = as_others_see_it
            parts["deployment"] = _digest(deployments.get(name))
        kits[name] = Wanted(name, _identity(entry), parts)
    return kits


def participants_of(project: Project) -> list[dict[str, Any]]:
    """The entries of project.yml that get a kit."""
    return [entry.model_dump(mode="json", exclude_unset=True) for entry in project.participants]


def builders_of(project: Project) -> list[dict[str, Any]]:
    """The builders of project.yml."""
    return [builder.model_dump(exclude_unset=True) for builder in project.builders]


def max_clients(sites: int) -> int:
    """How many clients the server admits: a quarter more than there are, doubled; it rarely changes."""
    admitted = FEWEST_CLIENTS
    while admitted * 4 < sites * 5:
        admitted *= 2
    return admitted


def _common(project: Project, entries: list[dict[str, Any]]) -> dict[str, str]:
    shaping = {
        entry["name"]: entry
        for entry in entries
        if entry["type"] == "relay"
        or (entry["type"] == "client" and any(key in entry for key in _SHAPES_OTHERS))
    }
    builders = builders_of(project)
    common = {
        "release": f"{NVFLARE_VERSION} {kit_version()} {_program()}",
        "federation": _digest([project.model_dump(mode="json", include=_IN_EVERY_KIT), shaping]),
        "builders": _digest([builders, project.scheme]),
    }
    if any(builder["path"] not in PER_KIT for builder in builders):
        common["everybody"] = _digest(entries)
    return common


def _identity(entry: dict[str, Any]) -> Identity:
    hosts: tuple[str, ...] = ()
    if entry["type"] == "server":
        further = entry.get("host_names") or []
        further = [further] if isinstance(further, str) else further
        # Its own name always: in a network of containers that is what the sites call it.
        hosts = tuple(dict.fromkeys([entry.get("default_host") or entry["name"], *further, entry["name"]]))
    role = entry.get("role") if entry["type"] == "admin" else None
    return Identity(kind=entry["type"], org=entry["org"], role=role, hosts=hosts)


def _named_files(project: Project, entry: dict[str, Any]) -> str:
    return _digest([digest_of(content) for content in _contents(project, entry)])


def _contents(project: Project, entry: dict[str, Any]) -> Iterator[bytes]:
    named = entry.get("custom_ca_cert") or project.custom_ca_cert
    if named:
        try:
            yield Path(named).read_bytes()
        except OSError as error:
            raise InputError(
                f"{project.path}: custom_ca_cert of {entry['name']}: {named} cannot be read "
                f"({error.strerror}); the path counts from the folder in which flarefleet runs"
            ) from error


@cache
def _program() -> str:
    """The fingerprint of what writes kits: its change reaches every kit without a version raised by hand."""
    folder = Path(__file__).parent
    return digest_of(b"".join((folder / name).read_bytes() for name in _MADE_BY))[:16]


def _digest(document: object) -> str:
    return digest_of(json.dumps(document, sort_keys=True, default=str).encode())[:16]
