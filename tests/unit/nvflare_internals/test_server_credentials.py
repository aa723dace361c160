"""The server's credentials at the moment at which it starts to listen."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from nvflare.apis.fl_context import FLContext
from nvflare.private.fed.app.deployer import server_deployer
from nvflare.private.fed.app.deployer.server_deployer import ServerDeployer
from nvflare.private.fed.server.cred_keeper import CredKeeper

from fl_app.nvflare_internals.server_credentials import load_credentials_at_start


class Server:
    """What NVFlare's deployer makes before it calls `deploy`, which listens."""

    def __init__(self, **_: Any) -> None:
        self.cred_keeper = CredKeeper()
        self.client_manager = SimpleNamespace(cred_keeper=CredKeeper())


@pytest.fixture
def deployer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ServerDeployer:
    """Return NVFlare's deployer of a server with a key and certificates."""
    monkeypatch.setattr(ServerDeployer, "create_fl_server", ServerDeployer.create_fl_server)
    monkeypatch.setattr(server_deployer, "FederatedServer", Server)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]), datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "server.crt").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, none)
    )
    found = ServerDeployer()
    found.server_config = [
        {
            "ssl_cert": str(tmp_path / "server.crt"),
            "ssl_private_key": str(tmp_path / "server.key"),
            "ssl_root_cert": str(tmp_path / "server.crt"),
        }
    ]
    return found


def test_a_server_can_sign_and_check_messages_before_it_listens(deployer: ServerDeployer) -> None:
    load_credentials_at_start()

    _, server = deployer.create_fl_server(None, secure_train=True)

    early = FLContext()  # NVFlare adds the server's configuration later
    assert server.cred_keeper.get_id_asserter(early).sign("server", return_str=True)
    assert server.client_manager.cred_keeper.get_id_verifier(early)


def test_a_server_without_tls_needs_no_credentials(deployer: ServerDeployer) -> None:
    deployer.server_config = [{}]
    load_credentials_at_start()

    _, server = deployer.create_fl_server(None, secure_train=False)

    assert server.cred_keeper.id_asserter is None
