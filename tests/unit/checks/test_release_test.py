"""The checks of `helm test`: readiness with its reason, and the certificate on the federation port."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.ports import free_ports
from fl_app.checks.release_test import Release, ReleaseError, check_federation_port, main
from tests.unit.provision.federation import SERVER, Federation


@contextmanager
def telemetry(status: int, body: object) -> Iterator[str]:
    """Serve /readyz, and return the URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextmanager
def tls_server(kit: Path) -> Iterator[int]:
    """Accept TLS connections with the certificate of a kit, and return the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(kit / "startup" / "server.crt", kit / "startup" / "server.key")

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_ready_site_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    with telemetry(200, {"ready": True}) as url:
        assert main(["site-1", url, "5"]) == 0

    assert 'ready: {"ready": true}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "reason"),
    [({"reason": "not registered"}, "not registered"), ([], "its telemetry answers 503")],
)
def test_a_site_that_is_not_ready_fails_with_its_reason(
    body: object, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with telemetry(503, body) as url:
        assert main(["site-2", url, "0"]) == 1

    assert capsys.readouterr().err.strip() == f"site-2 is not ready: {reason}"


def test_a_parent_without_telemetry_fails_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["site-2", f"http://127.0.0.1:{free_ports(1)[0]}", "0"]) == 1

    assert "Connection refused" in capsys.readouterr().err


def test_a_server_must_have_a_certificate_of_its_federation(untouched: Federation, tmp_path: Path) -> None:
    kit = untouched.workspace.kit(SERVER)
    with tls_server(kit) as port, telemetry(200, {}) as url:
        release = Release("server", url, 0, ("127.0.0.1", port), kit / "startup" / "rootCA.pem")
        assert "certificate valid until" in str(check_federation_port(release))

        other = Federation(tmp_path)
        other.document = untouched.document
        other.provision()
        root = other.workspace.kit(SERVER) / "startup" / "rootCA.pem"
        with pytest.raises(ReleaseError, match="certificate verify failed"):
            check_federation_port(replace(release, root_certificate=root))
