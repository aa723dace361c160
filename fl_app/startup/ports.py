"""The ports that a parent listens on: a taken one is named before NVFlare meets it and waits for ever."""

from __future__ import annotations

import socket

from fl_app.startup.exit_codes import Exit, StartupError


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
    reason = (error.strerror or str(error)).lower()
    return StartupError(
        Exit.PORT,
        f"port {port} ({purpose}) cannot be listened on: {reason}. Stop what uses it, or choose another port",
    )
