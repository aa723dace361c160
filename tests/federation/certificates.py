"""Certificates with other validity dates."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from deploy.workspace import Workspace


def reissue(workspace: Workspace, file: Path, begin_days: int, end_days: int) -> None:
    """Replace a certificate by a copy with other dates, signed by the federation's authority."""
    state = json.loads((workspace.state / "cert.json").read_text())
    authority = load_pem_private_key(state["root_pri_key"].encode(), password=None)
    old = x509.load_pem_x509_certificate(file.read_bytes())
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begin_days))
        .not_valid_after(now + timedelta(days=end_days))
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    file.write_bytes(builder.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM))
