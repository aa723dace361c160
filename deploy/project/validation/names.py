"""The syntax of names that NVFlare, certificates and Kubernetes all accept.

Each `..._error` function returns what is wrong with a name, with a valid name to use; None if it is valid.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from deploy.hosts import LONGEST_LABEL, address_of, is_host
from deploy.project.object_names import LONGEST_RELEASE

LONGEST_COMMON_NAME = 64
"""Limit of a certificate's common name."""

_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_ORG = re.compile(r"[A-Za-z0-9_]+")
_RESERVED = {
    "server": "NVFlare uses it for the server",
    "include": "NVFlare includes a file for a key of this name",
}


def site_name_error(name: str, taken: Collection[str] = ()) -> str | None:
    """Validate the name of a site."""
    if name in _RESERVED:
        return f"{name} is reserved: {_RESERVED[name]}; {_suggestion(f'site-{name}', taken)}"
    if len(name) <= LONGEST_RELEASE and _DNS_LABEL.fullmatch(name):
        return None
    return (
        "must be valid in Kubernetes: lower-case letters, digits and -, a letter first, at most "
        f"{LONGEST_RELEASE} characters; {_suggestion(name, taken)}"
    )


def server_name_error(name: str, taken: Collection[str] = ()) -> str | None:
    """Validate the name of the server, which may be a domain name."""
    if address_of(name) is not None:
        return f"must be a name, not an address; write name: flare-server and default_host: {name}"
    if len(name) <= LONGEST_LABEL and _DNS_LABEL.fullmatch(name.partition(".")[0]) and is_host(name):
        return None if name == name.lower() else f"must be lower case; {_suggestion(name, taken)}"
    return (
        "must be a host or domain name that is valid in Kubernetes: lower-case letters, digits, - and ., a "
        f"letter first, at most {LONGEST_LABEL} characters; {_suggestion(name, taken, dots=True)}"
    )


def admin_name_error(name: str) -> str | None:
    """Validate the name of an administrator."""
    if not _EMAIL.fullmatch(name):
        local_part = re.sub(r"[^A-Za-z0-9]+", "-", name.partition("@")[0])[:40].strip("-").lower()
        return f"must be an e-mail address, such as {local_part or 'admin'}@example.org"
    if len(name) > LONGEST_COMMON_NAME:
        return f"must have at most {LONGEST_COMMON_NAME} characters, the limit in certificates"
    return None


def project_name_error(name: str) -> str | None:
    """Validate the name of the project, which becomes a folder and a Kubernetes label."""
    if len(name) <= LONGEST_LABEL and _LABEL_VALUE.fullmatch(name):
        return None
    valid = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_LABEL].strip("._-") or "federation"
    return (
        "must be valid as a folder and a label: letters, digits, -, _ and ., a letter or digit first and "
        f"last, at most {LONGEST_LABEL} characters; use {valid}"
    )


def org_error(org: str) -> str | None:
    """Validate the name of an organization, by NVFlare's rule."""
    if len(org) <= LONGEST_COMMON_NAME and _ORG.fullmatch(org):
        return None
    valid = re.sub(r"[^A-Za-z0-9_]+", "_", org)[:LONGEST_COMMON_NAME].strip("_") or "hospital"
    return f"must be letters, digits and _, at most {LONGEST_COMMON_NAME} characters; use {valid}"


def label_error(name: str, longest: int = LONGEST_LABEL) -> str | None:
    """Validate a DNS label, such as the name of a namespace."""
    if len(name) <= longest and _DNS_LABEL.fullmatch(name):
        return None
    return (
        f"must be lower-case letters, digits and -, a letter first, at most {longest} characters; "
        f"{_suggestion(name, (), longest=longest)}"
    )


def _suggestion(
    name: str, taken: Collection[str], *, dots: bool = False, longest: int = LONGEST_RELEASE
) -> str:
    """Return `use NAME` with the closest valid name that is not taken."""
    invalid = r"[^a-z0-9.-]+" if dots else r"[^a-z0-9-]+"
    closest = re.sub(r"-*\.[.-]*", ".", re.sub(invalid, "-", name[:200].lower())).strip("-.")
    if not closest[:1].isalpha():
        closest = f"site-{closest}".strip("-")
    closest = closest[:longest].strip("-.")
    number, free = 1, closest
    while free in taken and number < 1000:
        number += 1
        free = f"{closest[: longest - len(str(number)) - 1]}-{number}"
    return f"use {free}"
