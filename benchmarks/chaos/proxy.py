"""A TCP proxy between a site and the server: it counts, slows down and cuts."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

_CHUNK = 16_384
_CONNECT_SECONDS = 60.0
_BURST_SECONDS = 0.5
"""Idle time that a link may catch up: on a busy machine, this process is late."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close() sends RST."""


class Proxy:
    """Forward connections on a port of this machine to a server.

    Args:
        server: port of the server on this machine.
        port: port to listen on.
    """

    def __init__(self, server: int, port: int) -> None:
        self._server = server
        self.port = port
        self.sent = 0
        """Bytes from the site to the server."""
        self.bytes_per_second = 0.0
        """Limit in the direction of the server; 0: none."""
        self._rate = threading.Lock()
        self._sent_at = 0.0
        """When the link will have sent what it was given; on the monotonic clock."""
        self._open = threading.Event()
        self._open.set()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("localhost", port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Forward nothing; connections stay open and get no answer, as if packets were dropped."""
        self._open.clear()

    def mend(self) -> None:
        """Forward new connections; reset those that were cut."""
        connections, self._connections = self._connections, []
        for one in connections:
            _reset(one)
        self._open.set()

    def close(self) -> None:
        """Stop listening and close all connections."""
        self._listener.close()
        self.mend()

    def _accept(self) -> None:
        while True:
            try:
                site, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(site,), daemon=True).start()

    def _connect(self, site: socket.socket) -> None:
        self._connections.append(site)
        server = self._reach_server()
        if server is None:
            _reset(site)
            return
        server.settimeout(None)
        self._connections.append(server)
        threading.Thread(target=self._forward, args=(site, server, self._count), daemon=True).start()
        self._forward(server, site, lambda size: None)

    def _reach_server(self) -> socket.socket | None:
        """Return a connection to the server. While it does not listen, try again, as TCP does with SYN."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while time.monotonic() < deadline:
            self._open.wait()
            with contextlib.suppress(OSError):
                return socket.create_connection(("localhost", self._server), timeout=10)
            time.sleep(0.2)
        return None

    def _count(self, size: int) -> None:
        """Count bytes, and wait until a link of this rate would have sent them. All connections share it."""
        with self._rate:
            self.sent += size
            if not self.bytes_per_second:
                return
            earliest = time.monotonic() - _BURST_SECONDS
            self._sent_at = max(self._sent_at, earliest) + size / self.bytes_per_second
            pause = self._sent_at - time.monotonic()
        time.sleep(max(0.0, pause))

    def _forward(self, source: socket.socket, sink: socket.socket, count: Callable[[int], None]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._open.wait()
                count(len(data))
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            with contextlib.suppress(ValueError):
                self._connections.remove(one)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
