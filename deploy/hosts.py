"""Under which name the server of a federation is reached from the machine that runs it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from deploy.errors import InputError

if TYPE_CHECKING:
    from deploy.project import Project

LOOPBACK = "127.0.0.1"


def local_server_host(project: Project) -> str:
    """A name of the server that leads to this machine, and that NVFlare accepts.

    gRPC insists that the server's certificate carries the name; the other drivers take any.

    Raises:
        InputError: the certificate carries no name that leads here, and gRPC would refuse any other.
    """
    server = project.server
    names = [project.server_host, server.name, *server.host_names]
    for name in names:
        if _leads_here(name):
            return name
    if "grpc" not in project.scheme:
        return LOOPBACK
    raise InputError(
        f"{project.path}: none of the server's names ({', '.join(dict.fromkeys(names))}) leads to this "
        "machine, and gRPC accepts no other. Add localhost to the server's host_names and provision again."
    )


def _leads_here(name: str) -> bool:
    """Whether each address of `name` is one of this machine's."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return False
    return all(_is_own(family, address[0]) for family, *_, address in found)


def _is_own(family: int, address: str | int) -> bool:
    """An address that can be listened on is this machine's."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True
