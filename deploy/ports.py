"""TCP ports of this machine: find free ports, and name the process that uses a port."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Container, Iterable

import psutil

from deploy.errors import MachineError

_PORTS = range(10_000, 30_000)
"""Kubernetes' NodePorts begin at 30000, Linux' ports for connections by default at 32768."""
OTHER_PORT = "choose another fed_learn_port (and admin_port) in project.yml and provision again."


def refuse_taken_ports(ports: Iterable[int], host: str = "") -> None:
    """Check that the federation can listen on its ports (default: on all addresses).

    Raises:
        MachineError: a port is in use. The message names the process if this user may see it.
    """
    for port in sorted(set(ports)):
        try:
            listen(host, port).close()
        except OSError as error:
            holder = holder_of(port)
            raise MachineError(
                f"Cannot listen on port {port} of the federation ({error.strerror})"
                f"{f': {holder} uses it' if holder else ''}. Stop that process, or {OTHER_PORT}"
            ) from error


def in_use(port: int) -> str:
    """Return "Port 80 is in use by nginx (process 123)", without the process if this user may not see it."""
    holder = holder_of(port)
    return f"Port {port} is in use{f' by {holder}' if holder else ''}"


def holder_of(port: int) -> str | None:
    """Return the process that listens on `port`, as in "nginx (process 123)", if this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port:
            break
    else:
        return None
    if (pid := connection.pid) is None:
        return None
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def free_ports(count: int, besides: Container[int] = ()) -> list[int]:
    """Return `count` unused ports, none of them among `besides`.

    They are below those that Linux by default gives to connections and to programs that ask for any port, so
    that none is taken before its program listens on it, seconds later.

    Raises:
        MachineError: there are not so many.
    """
    free: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(free) == count:
            return free
        if port in besides:
            continue
        try:
            listen("", port).close()
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
        else:
            free.append(port)
    raise MachineError(
        f"Fewer than {count} of the ports {_PORTS[0]} to {_PORTS[-1]} of this machine are free."
    )


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether this user can listen on `port`."""
    try:
        listen(host, port).close()
    except OSError:
        return False
    return True


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignores connections in TIME_WAIT
        probe.bind((host, port))
        probe.listen(64)
    except OSError:
        probe.close()
        raise
    return probe
