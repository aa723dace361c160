"""Validation of `participants`: types, names, required roles, and references between participants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.hosts import is_loopback
from deploy.project.models import SUBMITTING_ROLES
from deploy.project.object_names import colliding_project, compose_name, unique_objects
from deploy.project.validation.diagnostics import Choices, Diagnostic, quoted
from deploy.project.validation.entries import Entry, entries_of, mapping_of, text_at
from deploy.project.validation.names import admin_name_error, server_name_error, site_name_error

ONE_MACHINE = {"gpus", "resources", "launcher"}
"""Settings of a site that also apply to containers on the server's machine."""
_TYPES = ("server", "client", "admin")
REMOVED_TYPES = {
    "overseer": "NVFlare 2.9 has no overseer any more; remove it",
    "relay": "Flarefleet does not support relays: every client connects to the server; remove it",
}


def validate_participants(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Validate `participants`, beyond keys and types."""
    if not isinstance(document.get("participants"), list):
        return
    entries = entries_of(document)
    for number, item in enumerate(document["participants"]):
        if not isinstance(item, dict):
            yield Diagnostic(
                ("participants", number), f"must be a mapping (KEY: VALUE lines), not {quoted(item)}"
            )
    for entry in entries:
        if entry.type in REMOVED_TYPES:
            yield Diagnostic((*entry.at, "type"), REMOVED_TYPES[entry.type])
        elif isinstance(entry.content.get("type"), str) and entry.type not in _TYPES:
            hint = Choices(_TYPES).hint(entry.type, "types")
            yield Diagnostic((*entry.at, "type"), f"unknown type {quoted(entry.type)}; {hint}")
    yield from _names(entries)
    yield from _required(entries)
    yield from _hierarchy(entries)
    yield from _connect_to(entries)


def _names(entries: list[Entry]) -> Iterator[Diagnostic]:
    taken = {entry.name for entry in entries}
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.name.lower(), entry) if entry.name else entry
        at = (*entry.at, "name")
        if other is not entry:
            same = "is also" if other.name == entry.name else f"differs only in case from {other.name},"
            yield Diagnostic(
                at,
                f"{quoted(entry.name)} {same} the name of participants[{other.at[-1]}]; rename one of them",
            )
        elif (error := _name_error(entry, taken)) is not None:
            yield Diagnostic(at, error)


def _name_error(entry: Entry, taken: set[str]) -> str | None:
    if not isinstance(entry.content.get("name"), str):
        return None
    if entry.type == "client":
        return site_name_error(entry.name, taken)
    if entry.type == "server":
        return server_name_error(entry.name, taken)
    return admin_name_error(entry.name) if entry.type == "admin" else None


def _required(entries: list[Entry]) -> Iterator[Diagnostic]:
    """Require one server, at least one client, and an administrator who may submit jobs."""
    count = Counter(entry.type for entry in entries)
    for entry in [entry for entry in entries if entry.type == "server"][1:]:
        yield Diagnostic((*entry.at, "type"), "a second server; a federation has exactly one, so remove one")
    if any(entry.type not in _TYPES for entry in entries) and not all(count[kind] for kind in _TYPES):
        return  # a participant with a misspelt type may be the missing one
    at = ("participants",)
    if not count["server"]:
        yield Diagnostic(at, "no server; add a participant of type: server")
    if not count["client"]:
        yield Diagnostic(at, "no client; add a participant of type: client for each site")
    if not count["admin"]:
        yield Diagnostic(at, "no administrator; add a participant of type: admin, role: project_admin")
    elif not any(
        # A role that is missing or invalid has its own error.
        entry.content.get("role") not in ("org_admin", "member")
        for entry in entries
        if entry.type == "admin"
    ):
        roles = " or ".join(SUBMITTING_ROLES)
        yield Diagnostic(at, f"no administrator may submit jobs; give one of them role: {roles}")


def _hierarchy(entries: list[Entry]) -> Iterator[Diagnostic]:
    """Require that each `parent` in NVFlare's hierarchy names a client or the server, without cycles."""
    servers = {entry.name for entry in entries if entry.type == "server"}
    parent_of = {entry.name: text_at(entry.content, "parent") for entry in entries if entry.type == "client"}
    cyclic = _in_a_cycle(parent_of)
    choices = Choices(parent_of)
    for entry in entries:
        parent = text_at(entry.content, "parent")
        at = (*entry.at, "parent")
        if entry.type != "client" or not parent or parent in servers:
            continue
        if parent not in parent_of:
            yield Diagnostic(at, f"no client {quoted(parent)}; {choices.hint(parent, 'clients')}")
        elif entry.name in cyclic:
            yield Diagnostic(at, f"{entry.name} would be its own ancestor; remove one parent")


def _in_a_cycle(parent_of: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    done: set[str] = set()
    for start in parent_of:
        path: dict[str, int] = {}
        name = start
        while name in parent_of and name not in done and name not in path:
            path[name] = len(path)
            name = parent_of[name]
        if name in path:
            found.update(list(path)[path[name] :])
        done.update(path)
    return found


def _connect_to(entries: list[Entry]) -> Iterator[Diagnostic]:
    servers = [entry.name for entry in entries if entry.type == "server"]
    for entry in entries:
        name = text_at(entry.content.get("connect_to"), "name")
        if name and servers and name not in servers:
            yield Diagnostic(
                (*entry.at, "connect_to", "name"), f"must be the server, {servers[0]}, not {quoted(name)}"
            )


def validate_loopback(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Reject a loopback name of the server that the sites in deployment.sites cannot reach.

    A server with a loopback name listens on loopback only, even if default_host is another name. A loopback
    default_host suits containers on one machine, whose settings are ONE_MACHINE.
    """
    entries = entries_of(document)
    deployed = mapping_of(mapping_of(document.get("deployment")).get("sites"))
    sites = [mapping_of(deployed[entry.name]) for entry in entries if entry.name in deployed]
    if not any(entry.type == "client" and entry.name in deployed for entry in entries):
        return
    on_other_hosts = any(site.keys() - ONE_MACHINE for site in sites)
    for entry in entries:
        has_host = on_other_hosts and text_at(entry.content, "default_host")
        keys = ("default_host", "name") if has_host else ("name",)
        loopback = next((key for key in keys if is_loopback(text_at(entry.content, key))), None)
        if entry.type == "server" and loopback is not None:
            yield Diagnostic(
                (*entry.at, loopback),
                f"{text_at(entry.content, loopback)} is a loopback name, but the sites in deployment.sites "
                "run on other hosts or in containers; write the server's name in their network, such as "
                "flare.example.org",
            )


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
