"""Check the ports that a parent listens on: NVFlare would wait forever for a port that is in use."""

from __future__ import annotations

import socket

from fl_app.startup.exit_codes import Exit, StartupError


def check_port_free(port: int, purpose: str) -> None:
    """Check that this process can listen on `port` on all addresses.

    Raises:
        StartupError: the port is in use or not permitted; the message includes `purpose`.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore closed connections
        try:
            probe.bind(("", port))
            probe.listen(1)
        except OSError as error:
            raise port_error(port, purpose, error) from error


def port_error(port: int, purpose: str, error: OSError) -> StartupError:
    """Return the error for a port on which this process cannot listen."""
    reason = (error.strerror or str(error)).lower()
    return StartupError(
        Exit.PORT,
        f"cannot listen on port {port} ({purpose}): {reason}. "
        "Stop the process that uses it, or choose another port",
    )
