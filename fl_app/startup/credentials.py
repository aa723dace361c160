"""Check the certificate and its private key, with clearer messages than NVFlare's."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.kit import Kit

RENEW = "flarefleet provision --renew"


def check_credentials(kit: Kit) -> None:
    """Check that key, certificate, root and name match, and that both certificates are valid now.

    Raises:
        StartupError: one of these checks failed.
    """
    now = datetime.now(timezone.utc)
    chain = load_certificates(kit.certificate)
    root = load_certificates(kit.root_certificate)[0]
    _check_key(kit, chain[0])
    for certificate in chain:
        _check_validity(kit.certificate, certificate, now)
    _check_validity(kit.root_certificate, root, now)
    _check_signatures(kit, [*chain, root])
    _check_name(kit, chain[0])


def load_certificates(file: Path) -> list[x509.Certificate]:
    """Return the certificates in `file`: first the participant's, then the intermediate ones.

    Raises:
        StartupError: the file contains no certificate.
    """
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError as error:
        raise StartupError(
            Exit.CERTIFICATE, f"{file} is not a certificate; provision again: flarefleet provision"
        ) from error


def _check_key(kit: Kit, certificate: x509.Certificate) -> None:
    try:
        # Skip the check of the primes: it takes 30 ms, and provisioning made the key.
        key = load_pem_private_key(kit.key.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise StartupError(Exit.KEY, f"{kit.key} is not a private key without a password") from error
    if key.public_key() != certificate.public_key():
        raise StartupError(
            Exit.KEY,
            f"the private key {kit.key} does not match the certificate {kit.certificate}: "
            "one of them is older or belongs to another participant; "
            f"use both from one kit of {kit.facts.name}",
        )


def _check_validity(file: Path, certificate: x509.Certificate, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise StartupError(
            Exit.CERTIFICATE, f"the certificate {file} expired on {end:%Y-%m-%d %H:%M} UTC. Renew it: {RENEW}"
        )
    if now < begin:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {file} is not valid before {begin:%Y-%m-%d %H:%M} UTC, and this machine's "
            f"clock shows {now:%Y-%m-%d %H:%M} UTC. Set the clock, or renew the certificate: {RENEW}",
        )


def _check_signatures(kit: Kit, chain: list[x509.Certificate]) -> None:
    try:
        for certificate, issuer in pairwise(chain):
            certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {kit.certificate} is not signed by {kit.root_certificate}: "
            "they belong to two federations. Install the complete kit again",
        ) from error


def _check_name(kit: Kit, certificate: x509.Certificate) -> None:
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if kit.facts.name not in names:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {kit.certificate} belongs to {', '.join(names) or 'no participant'}, "
            f"the kit to {kit.facts.name}. Install the complete kit again",
        )
