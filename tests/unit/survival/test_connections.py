"""Connections whose peer does not answer, and the pauses between attempts to connect."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from nvflare.fuel.f3.drivers.connector_info import ConnectorInfo, Mode
from nvflare.fuel.f3.sfm import conn_manager
from nvflare.fuel.utils.config_service import ConfigService

from fl_app.contract import ENV_SURVIVAL
from fl_app.nvflare_internals.reconnection import reconnect_within
from fl_app.survival import connections
from fl_app.survival.connections import UNACKNOWLEDGED_SECONDS, keep_connected, limit_connections, port_of

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


class Stopped(threading.Event):
    """Record the pauses of a connector, and stop it after some."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        if len(self.pauses) == 5:
            self.set()
        return self.is_set()


class Refused:
    """A driver whose server is down."""

    def connect(self, connector: ConnectorInfo) -> None:
        raise ConnectionRefusedError


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Restore NVFlare's settings after a test."""
    for name in ("MAX_WAIT", "SILENT_RECONNECT_TIME"):
        monkeypatch.setattr(conn_manager, name, getattr(conn_manager, name))
    monkeypatch.setattr(ConfigService, "_var_values", {})
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return monkeypatch


@pytest.mark.parametrize(("survival", "seconds"), [("true", 2.0), ("false", 5.0)])
def test_a_site_soon_asks_again_whether_its_result_is_needed(
    settings: pytest.MonkeyPatch, survival: str, seconds: float
) -> None:
    settings.setenv(ENV_SURVIVAL, survival)

    keep_connected(ports=())

    assert ConfigService.get_float_var("task_check_interval", {}, 5.0) == seconds


@pytest.mark.usefixtures("settings")
def test_nvflare_connects_again_within_the_limit() -> None:
    stopped = Stopped()

    address = {"scheme": "http", "host": "localhost", "port": 1, "path": ""}

    reconnect_within(3)
    connector = ConnectorInfo("CH1", Refused(), address, Mode.ACTIVE, 0, 0, False, stopped)
    conn_manager.ConnManager.start_connector_task(connector)

    assert stopped.pauses == [1, 2, 3, 3, 3]


def test_a_descriptor_that_became_one_of_a_file_is_closed(
    sockets: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets.enter_context((tmp_path / "file").open("w"))
    monkeypatch.setattr(Path, "is_socket", lambda _: True)  # as it was a moment ago
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())

    limit_connections({1})

    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_connections_are_limited_again_once_there_are_free_descriptors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    has_gone_on = threading.Event()

    class Ended(BaseException):
        """Ends the endless loop."""

    def fail_once(_: object, calls: list[int] = []) -> None:  # noqa: B006 - counts the calls
        calls.append(1)
        if len(calls) == 1:
            raise OSError(24, "Too many open files")
        has_gone_on.set()
        raise Ended

    monkeypatch.setattr(connections, "limit_connections", fail_once)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.0)
    with pytest.raises(Ended):
        connections._sweep(None)

    assert has_gone_on.is_set()
    assert "Too many open files" in caplog.text
