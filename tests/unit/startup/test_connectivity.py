"""The names that a server's certificate covers, and connections that are closed."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fl_app.startup.connectivity import _covers, wait_for_server
from fl_app.startup.exit_codes import Exit, StartupError


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("flare.example.org", "flare.example.org", True),
        ("Flare.Example.org", "flare.example.ORG.", True),
        ("*.example.org", "flare.example.org", True),
        ("10.0.0.7", "10.0.0.7", True),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("flare.example.org", "example.org", False),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.b.example.org", False),
        ("10.0.0.7", "10.0.0.70", False),
        ("localhost", "127.0.0.1", False),
    ],
)
def test_a_certificate_covers_its_names_and_no_others(pattern: str, host: str, covered: bool) -> None:
    assert _covers(pattern, host) is covered


@pytest.fixture
def kit(tmp_path: Path) -> Any:
    """A kit whose certificate signs itself."""
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"
    files = ("-keyout", str(key), "-out", str(certificate))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=site-1", *files]
    subprocess.run(command, check=True, capture_output=True)
    return SimpleNamespace(
        service={},
        scheme="http",
        root_certificate=certificate,
        certificate=certificate,
        key=key,
        facts=SimpleNamespace(name="site-1"),
    )


def test_a_site_waits_if_a_proxy_closes_connections_because_the_server_is_down(kit: Any) -> None:
    reasons: list[str] = []
    with socket.create_server(("localhost", 0)) as proxy:
        threading.Thread(target=_close_connections, args=(proxy,), daemon=True).start()

        with pytest.raises(StartupError) as raised:
            wait_for_server(kit, ("localhost", proxy.getsockname()[1]), 0.5, reasons.append)

    assert raised.value.exit_code is Exit.SERVER_UNREACHABLE
    assert reasons


def _close_connections(proxy: socket.socket) -> None:
    while True:
        try:
            connection, _ = proxy.accept()
        except OSError:
            return
        connection.recv(1)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
        connection.close()
