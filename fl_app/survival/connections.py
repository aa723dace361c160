"""Connections to the server: give up those whose peer does not answer, and open new ones soon.

Linux keeps such a connection for 15 minutes. The server then sends every second message into the old one of a
site that has a new one, and the site does not open a new one at all. Pods may not change the kernel's setting
(`tcp_retries2`), but each process may limit its own connections.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

from fl_app.nvflare_internals.early_frames import keep_early_messages
from fl_app.nvflare_internals.reconnection import reconnect_within
from fl_app.survival.limits import survival_enabled

UNACKNOWLEDGED_SECONDS = 60.0
"""How long the peer may leave data unacknowledged, or refuse to receive more.

The kernel of a suspended process acknowledges until the buffer of its connection is full: only one that is
suspended for longer in the middle of a large transfer loses its connection. NVFlare sends something on each
connection at least once in 65 s.
"""
RECONNECT_SECONDS = 3.0
"""Longest pause between two attempts to connect to a server that is down."""
RESULT_CHECK_SECONDS = 2.0
"""Pause before a site asks again whether the server, which did not answer, needs its result; NVFlare: 5 s."""
SWEEP_SECONDS = 5.0
_RESULT_CHECK = "NVFLARE_TASK_CHECK_INTERVAL"
_DESCRIPTORS = Path("/proc/self/fd")
_log = logging.getLogger(__name__)


def keep_connected(ports: Collection[int] | None = None) -> None:
    """Give up dead connections in the background, connect again soon, and lose no first message.

    Does nothing if survival is disabled.

    Args:
        ports: limit only connections from or to these ports, as a training may have others; None: all.
    """
    if not survival_enabled():
        return
    reconnect_within(RECONNECT_SECONDS)
    keep_early_messages()
    os.environ.setdefault(_RESULT_CHECK, str(RESULT_CHECK_SECONDS))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        threading.Thread(target=_sweep, args=(ports,), name="connections", daemon=True).start()


def port_of(address: str) -> int:
    """Return the port of HOST:PORT or SCHEME://HOST:PORT; 0 without one."""
    port = address.rstrip("/").rpartition(":")[2]
    return int(port) if port.isascii() and port.isdecimal() else 0


def _sweep(ports: Collection[int] | None) -> None:
    pause = threading.Event()
    has_failed = False
    while True:
        try:
            limit_connections(ports)
        except OSError as error:  # no file descriptor is free
            if not has_failed:
                _log.warning("new connections have no limit for a peer that does not answer: %s", error)
            has_failed = True
        pause.wait(SWEEP_SECONDS)


def limit_connections(ports: Collection[int] | None, seconds: float = UNACKNOWLEDGED_SECONDS) -> None:
    """Limit the TCP connections that this process has now, and those that it accepts.

    Args:
        ports: see `keep_connected`.
        seconds: the limit. A connection that already has one keeps it.
    """
    for connection in _connections():
        with connection, contextlib.suppress(OSError):  # it may have been closed meanwhile
            has_limit = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            if not has_limit and (ports is None or _ports(connection) & {*ports}):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _connections() -> Iterator[socket.socket]:
    """Yield a duplicate of each TCP socket of this process."""
    for file in _DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):
            if not file.is_socket():
                continue
            blocks = os.get_blocking(int(file.name))
            duplicate = _socket_of(os.dup(int(file.name)))
            if socket.getdefaulttimeout() is not None:  # Python has applied it to the original, too
                os.set_blocking(duplicate.fileno(), blocks)
            is_internet = duplicate.family in (socket.AF_INET, socket.AF_INET6)
            if is_internet and duplicate.type == socket.SOCK_STREAM:
                yield duplicate
            else:
                duplicate.close()


def _socket_of(descriptor: int) -> socket.socket:
    """Return the socket of a descriptor; close the descriptor if another thread has made it one of a file."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise


def _ports(connection: socket.socket) -> set[int]:
    ports = {connection.getsockname()[1]}
    with contextlib.suppress(OSError):  # a listener has no peer
        ports.add(connection.getpeername()[1])
    return ports
