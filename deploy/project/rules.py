"""What must hold between the parts of project.yml: names, and who refers to whom.

The rules read the plain document, whatever is in it, so that one mistake never hides another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from deploy.project.mistakes import Location, Mistake, meant, shown
from deploy.project.models import SUBMITTING_ROLES
from deploy.project.names import admin_name_fault, is_loopback, server_name_fault, site_name_fault

_STUDY = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_KNOWN_TYPES = ("server", "client", "admin")
_GONE_TYPES = {
    "overseer": "NVFlare 2.9 knows no overseer any more; take it out",
    "relay": "Flarefleet carries no relays: every client reaches the server itself; take it out",
}


class Entry(NamedTuple):
    """A participant as far as it can be made out; a part that is no text is empty."""

    at: Location
    name: str
    type: str
    org: str
    content: Mapping[str, Any]


def entries_of(document: Mapping[str, Any]) -> list[Entry]:
    """The participants of a document, however broken it is."""
    return [
        Entry(("participants", number), _text(item, "name"), _text(item, "type"), _text(item, "org"), item)
        for number, item in enumerate(_list(document.get("participants")))
        if isinstance(item, dict)
    ]


def participant_mistakes(document: Mapping[str, Any]) -> Iterator[Mistake]:
    """Types, names, and who must be there."""
    if not isinstance(document.get("participants"), list):
        return
    entries = entries_of(document)
    for number, item in enumerate(document["participants"]):
        if not isinstance(item, dict):
            yield Mistake(
                ("participants", number), f"must be a mapping (KEY: VALUE lines), not {shown(item)}"
            )
    for entry in entries:
        yield from _type(entry)
    yield from _names(entries)
    yield from _who(entries)
    yield from _parents(entries)
    yield from _ways_to_the_server(entries)


def _type(entry: Entry) -> Iterator[Mistake]:
    if entry.type in _GONE_TYPES:
        yield Mistake((*entry.at, "type"), _GONE_TYPES[entry.type])
    elif entry.type and entry.type not in _KNOWN_TYPES:
        yield Mistake(
            (*entry.at, "type"), f"unknown type {shown(entry.type)}; {meant(entry.type, _KNOWN_TYPES)}"
        )


def _names(entries: list[Entry]) -> Iterator[Mistake]:
    taken = {entry.name for entry in entries}
    first: dict[str, Entry] = {}
    for entry in entries:
        fault = _name_fault(entry, taken)
        if fault is not None:
            yield Mistake((*entry.at, "name"), fault)
        if not entry.name:
            continue
        other = first.setdefault(entry.name.lower(), entry)
        if other is not entry:
            same = (
                "is the name of" if other.name == entry.name else f"differs only in case from {other.name},"
            )
            yield Mistake(
                (*entry.at, "name"), f"{shown(entry.name)} {same} {_place(other)}; give each its own"
            )


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


def _who(entries: list[Entry]) -> Iterator[Mistake]:
    count = Counter(entry.type for entry in entries)
    unclear = any(entry.type not in _KNOWN_TYPES for entry in entries)
    for entry in [entry for entry in entries if entry.type == "server"][1:]:
        yield Mistake((*entry.at, "type"), "a second server; a federation has exactly one, so take one out")
    if unclear and not all(count[kind] for kind in _KNOWN_TYPES):
        return  # whoever is missing may be the one whose type is misspelt
    if not count["server"]:
        yield Mistake(("participants",), "no server; add a participant of type: server")
    if not count["client"]:
        yield Mistake(("participants",), "no client; add a participant of type: client for each site")
    if not count["admin"]:
        yield Mistake(
            ("participants",), "no administrator; add a participant of type: admin, role: project_admin"
        )
    elif not any(_may_submit(entry) for entry in entries if entry.type == "admin"):
        roles = " or ".join(SUBMITTING_ROLES)
        yield Mistake(("participants",), f"no administrator may submit jobs; give one of them role: {roles}")


def _may_submit(entry: Entry) -> bool:
    role = entry.content.get("role")
    return role in SUBMITTING_ROLES or role not in ("org_admin", "member")


def _parents(entries: list[Entry]) -> Iterator[Mistake]:
    """NVFlare's hierarchy of clients: each `parent` is a client or the server, and none its own ancestor."""
    servers = {entry.name for entry in entries if entry.type == "server"}
    above = {entry.name: _text(entry.content, "parent") for entry in entries if entry.type == "client"}
    for entry in entries:
        parent = _text(entry.content, "parent")
        if entry.type != "client" or not parent or parent in servers:
            continue
        if parent not in above:
            yield Mistake(
                (*entry.at, "parent"), f"there is no client {shown(parent)}; {meant(parent, above)}"
            )
        elif _is_own_ancestor(entry.name, above):
            yield Mistake(
                (*entry.at, "parent"), f"{entry.name} would be its own ancestor; take one parent out"
            )


def _is_own_ancestor(name: str, above: Mapping[str, str]) -> bool:
    seen = set()
    current = name
    while current and current not in seen:
        seen.add(current)
        current = above.get(current, "")
    return current == name and bool(current)


def _ways_to_the_server(entries: list[Entry]) -> Iterator[Mistake]:
    servers = [entry.name for entry in entries if entry.type == "server"]
    for entry in entries:
        way = entry.content.get("connect_to")
        name = _text(way, "name") if isinstance(way, dict) else ""
        if name and servers and name not in servers:
            yield Mistake(
                (*entry.at, "connect_to", "name"), f"must be the server, {servers[0]}, not {shown(name)}"
            )


def study_mistakes(document: Mapping[str, Any]) -> Iterator[Mistake]:
    """Studies: NVFlare's own rules, with the place of what breaks them."""
    studies = document.get("studies")
    if not isinstance(studies, dict):
        return
    if document.get("api_version") == 3:
        yield Mistake(("studies",), "needs api_version: 4")
    entries = entries_of(document)
    org_of = {entry.name: entry.org for entry in entries if entry.type == "client"}
    admins = [entry.name for entry in entries if entry.type == "admin"]
    orgs = {entry.org for entry in entries if entry.org}
    for name, study in studies.items():
        at: Location = ("studies", name)
        if name == "default":
            yield Mistake(at, "NVFlare keeps the name default for itself; choose another")
        elif not _STUDY.fullmatch(name):
            yield Mistake(at, "must be lower-case letters, digits, - and _, at most 63")
        if isinstance(study, dict):
            yield from _study_sites(study.get("site_orgs"), (*at, "site_orgs"), org_of, orgs)
            for number, admin in enumerate(_list(study.get("admins"))):
                if isinstance(admin, str) and admin not in admins:
                    yield Mistake(
                        (*at, "admins", number),
                        f"there is no administrator {shown(admin)}; {meant(admin, admins)}",
                    )


def _study_sites(
    site_orgs: object, at: Location, org_of: Mapping[str, str], orgs: set[str]
) -> Iterator[Mistake]:
    seen: set[str] = set()
    for org, sites in (site_orgs if isinstance(site_orgs, dict) else {}).items():
        if org not in orgs:
            yield Mistake(
                (*at, org), f"no participant is of the organization {shown(org)}; {meant(org, sorted(orgs))}"
            )
        for number, site in enumerate(_list(sites)):
            place = (*at, org, number)
            if not isinstance(site, str):
                continue
            if site not in org_of:
                yield Mistake(place, f"there is no client {shown(site)}; {meant(site, org_of)}")
            elif org in orgs and org_of[site] != org:
                yield Mistake(place, f"{site} is of the organization {org_of[site]}; write it there")
            elif site in seen:
                yield Mistake(place, f"{site} stands here twice; take one out")
            seen.add(site)


def loopback_mistakes(document: Mapping[str, Any]) -> Iterator[Mistake]:
    """A federation of several hosts whose sites would each look for the server on themselves."""
    entries = entries_of(document)
    deployment = document.get("deployment")
    named = deployment.get("sites") if isinstance(deployment, dict) else None
    clients = {entry.name for entry in entries if entry.type == "client"}
    if not isinstance(named, dict) or not clients & named.keys():
        return
    for entry in entries:
        # By a loopback name NVFlare's server listens on its own machine alone, whatever default_host is.
        keys = ("default_host", "name") if _text(entry.content, "default_host") else ("name",)
        loopback = next((key for key in keys if is_loopback(_text(entry.content, key))), None)
        if entry.type == "server" and loopback is not None:
            yield Mistake(
                (*entry.at, loopback),
                f"{_text(entry.content, loopback)} is each site's own machine, and deployment.sites has sites "
                "on other hosts; write the name by which they reach the server, such as flare.example.org",
            )


def _text(content: object, key: str) -> str:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
