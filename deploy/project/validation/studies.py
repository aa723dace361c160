"""Studies (api_version 4): NVFlare's own rules, with the place of what breaks them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.project.validation.diagnostics import Diagnostic, Known, Location, shown
from deploy.project.validation.entries import entries_of, list_of

_STUDY = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


def study_mistakes(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Names of studies, and what they refer to."""
    studies = document.get("studies")
    if not isinstance(studies, dict):
        return
    if document.get("api_version") == 3:
        yield Diagnostic(("studies",), "needs api_version: 4")
    entries = entries_of(document)
    org_of = {entry.name: entry.org for entry in entries if entry.type == "client"}
    admins = {entry.name for entry in entries if entry.type == "admin"}
    orgs = {entry.org for entry in entries if entry.org}
    known_admins, known_orgs, known_sites = Known(sorted(admins)), Known(sorted(orgs)), Known(org_of)
    for name, study in studies.items():
        at: Location = ("studies", name)
        if name == "default":
            yield Diagnostic(at, "NVFlare keeps the name default for itself; choose another")
        elif not _STUDY.fullmatch(name):
            yield Diagnostic(at, "must be lower-case letters, digits, - and _, at most 63")
        if isinstance(study, dict):
            yield from _orgs(study.get("site_orgs"), (*at, "site_orgs"), orgs, known_orgs)
            yield from _sites(study.get("site_orgs"), (*at, "site_orgs"), org_of, known_sites)
            yield from _admins(list_of(study.get("admins")), (*at, "admins"), admins, known_admins)


def _orgs(site_orgs: object, at: Location, orgs: set[str], known: Known) -> Iterator[Diagnostic]:
    for org in site_orgs if isinstance(site_orgs, dict) else ():
        if org not in orgs:
            yield Diagnostic(
                (*at, org), f"no participant is of the organization {shown(org)}; {known.hint(org)}"
            )


def _sites(site_orgs: object, at: Location, org_of: Mapping[str, str], known: Known) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for org, sites in (site_orgs if isinstance(site_orgs, dict) else {}).items():
        for number, site in enumerate(list_of(sites)):
            place = (*at, org, number)
            if not isinstance(site, str):
                continue
            if site not in org_of:
                yield Diagnostic(place, f"there is no client {shown(site)}; {known.hint(site)}")
            elif org_of[site] != org:
                yield Diagnostic(place, f"{site} is of the organization {org_of[site]}; write it there")
            elif site in seen:
                yield Diagnostic(place, f"{site} stands here twice; take one out")
            seen.add(site)


def _admins(names: list[Any], at: Location, admins: set[str], known: Known) -> Iterator[Diagnostic]:
    for number, admin in enumerate(names):
        if isinstance(admin, str) and admin not in admins:
            yield Diagnostic((*at, number), f"there is no administrator {shown(admin)}; {known.hint(admin)}")
