"""Validation of `studies` (api_version 4) by NVFlare's own rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.project.validation.diagnostics import Choices, Diagnostic, Location, quoted
from deploy.project.validation.entries import entries_of, list_of, mapping_of

_STUDY = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


def validate_studies(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Validate the names of studies and their references to participants."""
    studies = document.get("studies")
    if not isinstance(studies, dict):
        return
    if document.get("api_version") == 3:
        yield Diagnostic(("studies",), "requires api_version: 4")
    entries = entries_of(document)
    org_of = {entry.name: entry.org for entry in entries if entry.type == "client"}
    admins = {entry.name for entry in entries if entry.type == "admin"}
    orgs = {entry.org for entry in entries if entry.org}
    admin_names, org_names, site_names = Choices(sorted(admins)), Choices(sorted(orgs)), Choices(org_of)
    for name, study in studies.items():
        at: Location = ("studies", name)
        if name == "default":
            yield Diagnostic(at, "NVFlare reserves the name default; choose another name")
        elif not _STUDY.fullmatch(name):
            yield Diagnostic(at, "must be lower-case letters, digits, - and _, at most 63 characters")
        if isinstance(study, dict):
            site_orgs = mapping_of(study.get("site_orgs"))
            for org in (org for org in site_orgs if org not in orgs):
                hint = org_names.hint(org, "organizations")
                text = f"no participant has the organization {quoted(org)}; {hint}"
                yield Diagnostic((*at, "site_orgs", org), text)
            yield from _sites(site_orgs, (*at, "site_orgs"), org_of, site_names)
            for number, admin in enumerate(list_of(study.get("admins"))):
                if isinstance(admin, str) and admin not in admins:
                    hint = admin_names.hint(admin, "administrators")
                    yield Diagnostic((*at, "admins", number), f"no administrator {quoted(admin)}; {hint}")


def _sites(
    site_orgs: Mapping[str, Any], at: Location, org_of: Mapping[str, str], choices: Choices
) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for org, sites in site_orgs.items():
        for number, site in enumerate(list_of(sites)):
            where = (*at, org, number)
            if not isinstance(site, str):
                continue
            if site not in org_of:
                yield Diagnostic(where, f"no client {quoted(site)}; {choices.hint(site, 'clients')}")
            elif org_of[site] != org:
                yield Diagnostic(where, f"{site} has the organization {org_of[site]}; move it there")
            elif site in seen:
                yield Diagnostic(where, f"{site} is listed twice; remove one")
            seen.add(site)
