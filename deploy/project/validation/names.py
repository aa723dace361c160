"""Names that NVFlare, certificates and Kubernetes can all carry, and what would do where one could not."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

LONGEST_SITE = 52
"""Kubernetes puts the hash of a revision behind the name of a StatefulSet, in a label of 63 characters."""
LONGEST_LABEL = 63
LONGEST_COMMON_NAME = 64

_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_HOST = re.compile(
    r"(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])\.)*([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
)
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_ORG = re.compile(r"[A-Za-z0-9_]+")
_RESERVED = {
    "server": "NVFlare itself calls the server so",
    "include": "NVFlare reads another file wherever it is a key",
}


def site_name_fault(name: str, taken: Collection[str] = ()) -> str | None:
    """What is wrong with the name of a site, and which would do; None if nothing is."""
    if name in _RESERVED:
        return f"{name} is taken: {_RESERVED[name]}; {_would_do(f'site-{name}', taken)}"
    if len(name) <= LONGEST_SITE and _DNS_LABEL.fullmatch(name):
        return None
    return (
        "must be a name that Kubernetes can carry: lower-case letters, digits and -, a letter first, at most "
        f"{LONGEST_SITE} characters; {_would_do(name, taken)}"
    )


def server_name_fault(name: str, taken: Collection[str] = ()) -> str | None:
    """The same of the server, whose name may be a domain name."""
    if is_address(name):
        return f"must be a name, not an address; write name: flare-server and default_host: {name}"
    labels = name.split(".")
    if (
        len(name) <= LONGEST_LABEL
        and all(_DNS_LABEL.fullmatch(label) for label in labels[:1])
        and is_host(name)
    ):
        return None if name == name.lower() else f"must be lower case; {_would_do(name, taken)}"
    return (
        "must be a host or domain name that Kubernetes can carry: lower-case letters, digits, - and ., a "
        f"letter first, at most {LONGEST_LABEL} characters; {_would_do(name, taken, dots=True)}"
    )


def admin_name_fault(name: str) -> str | None:
    """The same of an administrator."""
    if not _EMAIL.fullmatch(name):
        return f"must be an e-mail address, such as {_letters(name) or 'admin'}@example.org"
    if len(name) > LONGEST_COMMON_NAME:
        return f"must have at most {LONGEST_COMMON_NAME} characters: its certificate holds no more"
    return None


def project_name_fault(name: str) -> str | None:
    """The same of the project, which is a folder and a label of everything in a cluster."""
    if len(name) <= LONGEST_LABEL and _LABEL_VALUE.fullmatch(name):
        return None
    better = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_LABEL].strip("._-") or "federation"
    return (
        "must serve as a folder and a label: letters, digits, -, _ and ., a letter or digit first and last, "
        f"at most {LONGEST_LABEL} characters; {better} would do"
    )


def org_fault(org: str) -> str | None:
    """The same of an organization: NVFlare's own rule."""
    if len(org) <= LONGEST_COMMON_NAME and _ORG.fullmatch(org):
        return None
    better = re.sub(r"[^A-Za-z0-9_]+", "_", org)[:LONGEST_COMMON_NAME].strip("_") or "hospital"
    return f"must be letters, digits and _, at most {LONGEST_COMMON_NAME}; {better} would do"


def label_fault(name: str, longest: int = LONGEST_LABEL) -> str | None:
    """The same of a namespace, or what else is one DNS label."""
    if len(name) <= longest and _DNS_LABEL.fullmatch(name):
        return None
    return (
        f"must be lower-case letters, digits and -, a letter first, at most {longest} characters; "
        f"{_would_do(name, (), longest=longest)}"
    )


def is_host(name: str) -> bool:
    """Whether it is a host name or an IPv4 address, as NVFlare reads one."""
    return (
        len(name) <= 253 and bool(_HOST.fullmatch(name)) and all(len(part) <= 63 for part in name.split("."))
    )


def is_address(name: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether the host means each machine itself."""
    if is_address(host):
        address = ipaddress.ip_address(host)
        return address.is_loopback or address.is_unspecified
    lower = host.lower().rstrip(".")
    return lower in {"localhost", "localhost.localdomain", "ip6-localhost"} or lower.endswith(".localhost")


def _letters(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name.partition("@")[0])[:40].strip("-").lower()


def _would_do(name: str, taken: Collection[str], *, dots: bool = False, longest: int = LONGEST_SITE) -> str:
    """`NAME would do`: the nearest name that nobody has."""
    allowed = r"[^a-z0-9.-]+" if dots else r"[^a-z0-9-]+"
    nearest = re.sub(r"-*\.[.-]*", ".", re.sub(allowed, "-", name[:200].lower())).strip("-.")
    if not nearest[:1].isalpha():
        nearest = f"site-{nearest}".strip("-")
    nearest = nearest[:longest].strip("-.")
    number, free = 1, nearest
    while free in taken and number < 1000:
        number += 1
        free = f"{nearest[: longest - len(str(number)) - 1]}-{number}"
    return f"{free} would do"
