"""Connections whose peer does not answer, with the sockets of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fl_app.survival.dead_connections import UNACKNOWLEDGED_SECONDS, limit_connections, port_of

LIMIT = int(UNACKNOWLEDGED_SECONDS * 1000)


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close the sockets of a test."""
    with ExitStack() as stack:
        yield stack


def limit_of(one: socket.socket) -> int:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def listener(sockets: ExitStack) -> socket.socket:
    return sockets.enter_context(socket.create_server(("127.0.0.1", 0)))


def connection(sockets: ExitStack, server: socket.socket) -> socket.socket:
    return sockets.enter_context(socket.create_connection(server.getsockname(), timeout=10))


def test_connections_of_the_given_ports_are_limited_and_no_others(sockets: ExitStack) -> None:
    server, database = listener(sockets), listener(sockets)
    to_server, to_database, with_limit = (
        connection(sockets, server),
        connection(sockets, database),
        connection(sockets, server),
    )
    with_limit.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000)

    limit_connections({server.getsockname()[1]})

    assert limit_of(to_server) == LIMIT
    assert limit_of(to_database) == 0
    assert limit_of(with_limit) == 5000


def test_a_listener_passes_the_limit_on_to_the_connections_that_it_accepts(sockets: ExitStack) -> None:
    server = listener(sockets)

    limit_connections(None)
    connection(sockets, server)

    assert limit_of(sockets.enter_context(server.accept()[0])) == LIMIT


def test_a_connection_whose_peer_takes_nothing_ends_after_the_limit(sockets: ExitStack) -> None:
    server = listener(sockets)
    sender = connection(sockets, server)
    limit_connections(None, seconds=0.5)

    with pytest.raises(OSError, match="timed out") as error:
        while True:
            sender.sendall(bytes(1_000_000))

    assert error.value.errno is not None  # of the kernel, and not of Python


@pytest.mark.parametrize(
    ("address", "port"),
    [("server:8002", 8002), ("tcp://10.0.0.1:8102", 8102), ("https://host:1/", 1), ("server", 0), ("", 0)],
)
def test_the_port_of_an_address_is_found(address: str, port: int) -> None:
    assert port_of(address) == port
