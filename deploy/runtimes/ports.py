"""Ports of this machine: which are free, and who has the others."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack

import psutil

from deploy.errors import MachineError


def refuse_taken_ports(ports: Iterable[int], host: str = "") -> None:
    """See that nobody listens on the federation's ports.

    Args:
        ports: the ports, each asked once.
        host: the address to listen on; all of them if empty.

    Raises:
        MachineError: somebody does; the message names the holder where that can be seen.
    """
    for port in sorted(set(ports)):
        try:
            _listen(host, port).close()
        except OSError as error:
            holder = holder_of(port)
            raise MachineError(
                f"Port {port} of the federation cannot be listened on ({error.strerror})"
                f"{f': {holder} has it' if holder else ''}. Stop that, or choose another fed_learn_port "
                "(and admin_port) in project.yml and provision again."
            ) from error


def holder_of(port: int) -> str | None:
    """The process that listens on `port`, as far as this user may see it: "nginx (process 123)"."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port:
            return _name(connection.pid) if connection.pid else None
    return None


def _name(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def free_ports(count: int) -> list[int]:
    """`count` ports of the loopback interface on which nobody listens now."""
    with ExitStack() as held:
        probes = [held.enter_context(_listen("127.0.0.1", 0)) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether this user could listen on `port` now."""
    try:
        _listen(host, port).close()
    except OSError:
        return False
    return True


def _listen(host: str, port: int) -> socket.socket:
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections that are closing do not count
        probe.bind((host, port))
        probe.listen(1)
    except OSError:
        probe.close()
        raise
    return probe
