"""The description of kills, the random walk, the proxy and the table."""

from __future__ import annotations

import socket
import threading
import time
from itertools import islice

import pytest

from benchmarks.chaos.cell import Cell
from benchmarks.chaos.kills import ALL, KILLS, REDUCED, kill, kills_of
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.table import markdown
from benchmarks.chaos.walk import walk
from deploy.ports import free_ports


def test_the_names_of_kills_are_unique_and_the_reduced_matrix_names_some() -> None:
    assert len({one.name for one in KILLS}) == len(KILLS)
    assert {kill(name).name for name in REDUCED} == set(REDUCED)


@pytest.mark.parametrize("runtime", ALL)
def test_a_walk_follows_from_its_seed(runtime: str) -> None:
    first, again, other = (list(islice(walk(seed, runtime, 3), 20)) for seed in (7, 7, 8))

    assert first == again
    assert first != other
    assert len({step.kill.name for step in first}) > 5
    assert all(runtime in step.kill.runtimes for step in first)


def test_a_walk_has_no_kill_of_another_runtime() -> None:
    assert {one.name for one in kills_of("process")} < {one.name for one in KILLS}


def test_a_cut_drops_packets_and_resets_old_connections_when_it_ends() -> None:
    server_port, port = free_ports(2)
    server = socket.create_server(("localhost", server_port))
    threading.Thread(target=_echo, args=(server,), daemon=True).start()
    proxy = Proxy(server_port, port)
    old = socket.create_connection(("localhost", port), timeout=5)
    assert _answer(old) == b"hello"

    proxy.cut()
    old.settimeout(0.3)
    with pytest.raises(TimeoutError):
        _answer(old)
    proxy.mend()

    old.settimeout(5)
    with pytest.raises(ConnectionError):
        _answer(old)
    with socket.create_connection(("localhost", port), timeout=5) as new:
        assert _answer(new) == b"hello"
    assert proxy.sent >= 10
    proxy.close()
    server.close()


def test_the_connections_of_a_proxy_share_its_rate() -> None:
    server_port, port = free_ports(2)
    server = socket.create_server(("localhost", server_port))
    threading.Thread(target=_echo, args=(server,), daemon=True).start()
    proxy = Proxy(server_port, port)
    proxy.bytes_per_second = 14
    begin = time.monotonic()
    connections = [socket.create_connection(("localhost", port), timeout=5) for _ in range(2)]
    for one in connections:
        one.sendall(b"hello")

    assert [one.recv(100) for one in connections] == [b"hello", b"hello"]

    assert time.monotonic() - begin >= 0.2
    for one in (*connections, proxy, server):
        one.close()


def test_a_proxy_waits_for_a_server_that_starts() -> None:
    server_port, port = free_ports(2)
    proxy = Proxy(server_port, port)
    with socket.create_connection(("localhost", port), timeout=10) as early:
        early.sendall(b"hello")
        server = socket.create_server(("localhost", server_port))
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        assert early.recv(100) == b"hello"
    proxy.close()
    server.close()


def test_the_table_names_the_failed_check_and_what_stock_nvflare_did() -> None:
    survived = Cell("process", "site job", True, status="FINISHED:COMPLETED", next_training=2.5, end=20.0)
    failed = Cell("process", "cut 20 s", True, next_training=61.0, fault_seconds=20, failed=["all rounds: x"])
    stock = Cell("process", "site job", False, status="FINISHED:EXECUTION_EXCEPTION", end=3.0, failed=["x"])

    text = markdown([survived, failed, stock], "make chaos")

    assert "`make chaos`" in text
    assert "| site job | completed, equal | 2.5 s | 20.0 s | 0 | FINISHED:EXECUTION_EXCEPTION" in text
    assert "**failed**: all rounds: x | **61.0 s (41.0 s after its end)**, above 30 s" in text


def _answer(connection: socket.socket) -> bytes:
    connection.sendall(b"hello")
    answer = connection.recv(100)
    if not answer:
        raise ConnectionError("closed")
    return answer


def _echo(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo_one, args=(connection,), daemon=True).start()


def _echo_one(connection: socket.socket) -> None:
    try:
        while data := connection.recv(100):
            connection.sendall(data)
    except OSError:
        pass
