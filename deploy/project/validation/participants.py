"""What must hold between the participants of project.yml: names, who must be there, who refers to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.project.models import SUBMITTING_ROLES
from deploy.project.validation.diagnostics import Diagnostic, Known, meant, shown
from deploy.project.validation.entries import Entry, entries_of, mapping_of, text_at
from deploy.project.validation.names import admin_name_fault, is_loopback, server_name_fault, site_name_fault

_EACH_ITS_OWN = (
    " is each site's own machine, and deployment.sites has sites on other hosts; write the name by which "
    "they reach the server, such as flare.example.org"
)
_KNOWN_TYPES = ("server", "client", "admin")
GONE_TYPES = {
    "overseer": "NVFlare 2.9 knows no overseer any more; take it out",
    "relay": "Flarefleet carries no relays: every client reaches the server itself; take it out",
}


def participant_mistakes(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Types, names, and who must be there."""
    if not isinstance(document.get("participants"), list):
        return
    entries = entries_of(document)
    for number, item in enumerate(document["participants"]):
        if not isinstance(item, dict):
            yield Diagnostic(
                ("participants", number), f"must be a mapping (KEY: VALUE lines), not {shown(item)}"
            )
    for entry in entries:
        yield from _type(entry)
    yield from _names(entries)
    yield from _who(entries)
    yield from _parents(entries)
    yield from _ways_to_the_server(entries)


def _type(entry: Entry) -> Iterator[Diagnostic]:
    if entry.type in GONE_TYPES:
        yield Diagnostic((*entry.at, "type"), GONE_TYPES[entry.type])
    elif isinstance(entry.content.get("type"), str) and entry.type not in _KNOWN_TYPES:
        yield Diagnostic(
            (*entry.at, "type"), f"unknown type {shown(entry.type)}; {meant(entry.type, _KNOWN_TYPES)}"
        )


def _names(entries: list[Entry]) -> Iterator[Diagnostic]:
    taken = {entry.name for entry in entries}
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.name.lower(), entry) if entry.name else entry
        if other is not entry:
            same = (
                "is the name of" if other.name == entry.name else f"differs only in case from {other.name},"
            )
            yield Diagnostic(
                (*entry.at, "name"), f"{shown(entry.name)} {same} {_place(other)}; give each its own"
            )
        elif (fault := _name_fault(entry, taken)) is not None:
            yield Diagnostic((*entry.at, "name"), fault)


def _place(entry: Entry) -> str:
    return f"participants[{entry.at[-1]}]"


def _name_fault(entry: Entry, taken: set[str]) -> str | None:
    if not isinstance(entry.content.get("name"), str):
        return None
    if entry.type == "client":
        return site_name_fault(entry.name, taken)
    if entry.type == "server":
        return server_name_fault(entry.name, taken)
    return admin_name_fault(entry.name) if entry.type == "admin" else None


def _who(entries: list[Entry]) -> Iterator[Diagnostic]:
    count = Counter(entry.type for entry in entries)
    unclear = any(entry.type not in _KNOWN_TYPES for entry in entries)
    for entry in [entry for entry in entries if entry.type == "server"][1:]:
        yield Diagnostic(
            (*entry.at, "type"), "a second server; a federation has exactly one, so take one out"
        )
    if unclear and not all(count[kind] for kind in _KNOWN_TYPES):
        return  # whoever is missing may be the one whose type is misspelt
    if not count["server"]:
        yield Diagnostic(("participants",), "no server; add a participant of type: server")
    if not count["client"]:
        yield Diagnostic(("participants",), "no client; add a participant of type: client for each site")
    if not count["admin"]:
        yield Diagnostic(
            ("participants",), "no administrator; add a participant of type: admin, role: project_admin"
        )
    elif not any(_may_submit(entry) for entry in entries if entry.type == "admin"):
        roles = " or ".join(SUBMITTING_ROLES)
        yield Diagnostic(
            ("participants",), f"no administrator may submit jobs; give one of them role: {roles}"
        )


def _may_submit(entry: Entry) -> bool:
    role = entry.content.get("role")
    return role in SUBMITTING_ROLES or role not in ("org_admin", "member")


def _parents(entries: list[Entry]) -> Iterator[Diagnostic]:
    """NVFlare's hierarchy of clients: each `parent` is a client or the server, and none its own ancestor."""
    servers = {entry.name for entry in entries if entry.type == "server"}
    above = {entry.name: text_at(entry.content, "parent") for entry in entries if entry.type == "client"}
    circular = _in_a_circle(above)
    known = Known(above)
    for entry in entries:
        parent = text_at(entry.content, "parent")
        if entry.type != "client" or not parent or parent in servers:
            continue
        if parent not in above:
            yield Diagnostic(
                (*entry.at, "parent"), f"there is no client {shown(parent)}; {known.hint(parent)}"
            )
        elif entry.name in circular:
            yield Diagnostic(
                (*entry.at, "parent"), f"{entry.name} would be its own ancestor; take one parent out"
            )


def _in_a_circle(above: Mapping[str, str]) -> set[str]:
    """Those who reach themselves on the way upwards."""
    found: set[str] = set()
    done: set[str] = set()
    for start in above:
        way: dict[str, int] = {}
        name = start
        while name in above and name not in done and name not in way:
            way[name] = len(way)
            name = above[name]
        if name in way:
            found.update(list(way)[way[name] :])
        done.update(way)
    return found


def _ways_to_the_server(entries: list[Entry]) -> Iterator[Diagnostic]:
    servers = [entry.name for entry in entries if entry.type == "server"]
    for entry in entries:
        way = entry.content.get("connect_to")
        name = text_at(way, "name") if isinstance(way, dict) else ""
        if name and servers and name not in servers:
            yield Diagnostic(
                (*entry.at, "connect_to", "name"), f"must be the server, {servers[0]}, not {shown(name)}"
            )


def loopback_mistakes(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """A federation of several hosts whose sites would each look for the server on themselves."""
    entries = entries_of(document)
    named = mapping_of(mapping_of(document.get("deployment")).get("sites"))
    clients = {entry.name for entry in entries if entry.type == "client"}
    if not clients & named.keys():
        return
    for entry in entries:
        # By a loopback name NVFlare's server listens on its own machine alone, whatever default_host is.
        keys = ("default_host", "name") if text_at(entry.content, "default_host") else ("name",)
        loopback = next((key for key in keys if is_loopback(text_at(entry.content, key))), None)
        if entry.type == "server" and loopback is not None:
            yield Diagnostic((*entry.at, loopback), text_at(entry.content, loopback) + _EACH_ITS_OWN)
