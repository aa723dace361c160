"""Ports on which a parent must listen before it is ready."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


class Listeners:
    """The ports on which this process must listen.

    NVFlare does not report whether it could bind a port, and continues if it could not: every job would then
    fail, since its process cannot reach the parent.

    Args:
        ports: TCP ports. One on which the process has listened is not checked again.
    """

    def __init__(self, ports: Iterable[int] = ()) -> None:
        self._missing = frozenset(ports)

    def not_ready(self) -> str | None:
        """Return the ports on which this process does not listen yet; None if there are none."""
        if self._missing:
            connections = psutil.Process().net_connections(kind="tcp")
            self._missing -= {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
        if not self._missing:
            return None
        ports = ", ".join(map(str, sorted(self._missing)))
        return (
            f"not listening on port {ports} yet; if another process uses it, stop that process, or run "
            "flarefleet down, then up"
        )
