"""Host names and IP addresses: their syntax, loopback, and the server's name on this machine."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from deploy.errors import InputError

if TYPE_CHECKING:
    from deploy.project import Project

LOOPBACK = "127.0.0.1"
LONGEST_LABEL = 63

SERVICE_NAME = re.compile(r"[a-z0-9-]+\.(?P<namespace>[a-z0-9-]+)\.svc(\..*)?")
"""Host name of a Kubernetes Service; it can be looked up in its own cluster only."""
_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?")
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")


def is_host(name: str) -> bool:
    """Return whether `name` is a host name or an IPv4 address, by NVFlare's rules."""
    return len(name) <= 253 and all(
        len(label) <= LONGEST_LABEL and _LABEL.fullmatch(label) for label in name.split(".")
    )


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return `host` as an IP address, or None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether every machine resolves `host` to itself: localhost, *.localhost, 127.0.0.1, 0.0.0.0."""
    if (address := address_of(host)) is not None:
        return address.is_loopback or address.is_unspecified
    name = host.lower().rstrip(".")
    return name in _LOOPBACK_NAMES or name.endswith(".localhost")


def refuse_loopback_server(project: Project) -> None:
    """Check that the server can listen for sites outside of its own container or pod.

    Raises:
        InputError: its name is a loopback name, so that NVFlare's server listens on loopback only.
    """
    name = project.server.name
    if is_loopback(name):
        raise InputError(
            f"{project.path}: the server's name {name} is a loopback name, and sites in other containers "
            f"cannot reach it. Give the server another name, such as flare-server, with default_host: {name} "
            "if you need that, and provision again."
        )


def local_server_host(project: Project) -> str:
    """Return a name of the server that resolves to this machine and that NVFlare accepts.

    gRPC requires a name in the server's certificate; the other drivers accept any name.

    Raises:
        InputError: no name in the certificate resolves to this machine, and the scheme is gRPC.
    """
    server = project.server
    names = [project.server_host, server.name, *server.host_names]
    for name in names:
        if _resolves_here(name):
            return name
    if "grpc" not in project.scheme:
        return LOOPBACK
    raise InputError(
        f"{project.path}: none of the server's names ({', '.join(dict.fromkeys(names))}) resolves to this "
        "machine, and gRPC accepts no other name. Add localhost to the server's host_names and provision "
        "again."
    )


def _resolves_here(name: str) -> bool:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return False
    return all(_is_of_this_machine(family, address[0]) for family, *_, address in found)


def _is_of_this_machine(family: int, address: str | int) -> bool:
    """Return whether a socket can be bound to the address."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True
