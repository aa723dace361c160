"""The names that a server's certificate covers, and connections that are closed."""

from __future__ import annotations

import socket
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fl_app.checks.connectivity import _covers, wait_for_server
from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Identity


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
def site(tmp_path: Path) -> Identity:
    """A site whose certificate signs itself."""
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"
    files = ("-keyout", str(key), "-out", str(certificate))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=site-1", *files]
    subprocess.run(command, check=True, capture_output=True)
    return Identity("site-1", certificate, certificate, key, "server", ("localhost", 0), "http")


def test_a_site_waits_if_a_proxy_closes_connections_because_the_server_is_down(site: Identity) -> None:
    reasons: list[str] = []
    with socket.create_server(("localhost", 0)) as proxy:
        threading.Thread(target=_close_connections, args=(proxy,), daemon=True).start()
        site = replace(site, address=("localhost", proxy.getsockname()[1]))

        with pytest.raises(StartupError) as raised:
            wait_for_server(site, 0.5, reasons.append)

    assert raised.value.exit_code is Exit.SERVER_UNREACHABLE
    assert reasons


def _close_connections(proxy: socket.socket) -> None:
    while True:
        try:
            connection, _ = proxy.accept()
        except OSError:
            return
        with connection:
            if connection.recv(1):  # the check of the port sends nothing
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
