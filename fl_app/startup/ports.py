"""The ports that a parent listens on: taken ones are named before NVFlare meets them, which would wait for ever."""

from __future__ import annotations

import socket

from fl_app.startup.exits import Exit, StartupError


def check_port_free(port: int, purpose: str, host: str = "") -> None:
    """See that nobody listens on `port`.

    Args:
        port: the port.
        purpose: what it is for, as the message says it.
        host: the address to listen on; all of them if empty.

    Raises:
        StartupError: somebody does, or this user may not listen there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections do not count
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise port_error(port, purpose, error) from error


def port_error(port: int, purpose: str, error: OSError) -> StartupError:
    """The error of a port that could not be listened on."""
    holder = holder_of(port)
    return StartupError(
        Exit.PORT,
        f"port {port} ({purpose}) cannot be listened on: {error.strerror or error}"
        + (f"; {holder} has it" if holder else "")
        + ". Stop what uses it, or choose another port",
    )


def holder_of(port: int) -> str | None:
    """The process that listens on `port`, as far as this user may know: "nginx (process 123)"."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                return f"process {connection.pid}"
    return None
