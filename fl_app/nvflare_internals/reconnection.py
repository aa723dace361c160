"""How often NVFlare tries to connect again."""

from __future__ import annotations

USES = {
    "nvflare.fuel.f3.sfm.conn_manager:MAX_WAIT": "connect to a server soon after it is back",
    "nvflare.fuel.f3.sfm.conn_manager:SILENT_RECONNECT_TIME": "log failed attempts to connect",
}


def reconnect_within(seconds: float) -> None:
    """Limit the pause between two attempts of this process to connect; NVFlare doubles it from 1 s to 10 s.

    Args:
        seconds: the longest pause. Failed attempts before it are not logged, as in NVFlare.
    """
    from nvflare.fuel.f3.sfm import conn_manager

    conn_manager.MAX_WAIT = conn_manager.SILENT_RECONNECT_TIME = seconds
