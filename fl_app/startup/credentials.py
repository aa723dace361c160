"""The certificate and its private key, checked before anybody else refuses them with less words."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.kit import Kit

RENEW = "flarefleet provision --renew"


def check_credentials(kit: Kit, now: datetime | None = None) -> None:
    """See that key, certificate, root and name belong together, and that both certificates are valid now.

    Raises:
        StartupError: they do not or are not.
    """
    now = now or datetime.now(timezone.utc)
    chain = load_certificates(kit.certificate)
    root = load_certificates(kit.root_certificate)[0]
    _check_key(kit, chain[0])
    for certificate in chain:
        _check_time(kit.certificate, certificate, now)
    _check_time(kit.root_certificate, root, now)
    _check_root(kit, [*chain, root])
    _check_name(kit, chain[0])


def load_certificates(file: Path) -> list[x509.Certificate]:
    """The certificates in `file`: its owner's first, then those that lead to the root.

    Raises:
        StartupError: there is none.
    """
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError as error:
        raise StartupError(
            Exit.CERTIFICATE, f"{file} is not a certificate; provision again: flarefleet provision"
        ) from error


def _check_key(kit: Kit, certificate: x509.Certificate) -> None:
    try:
        # The check of its primes costs 30 ms and belongs to whoever made the key.
        key = load_pem_private_key(kit.key.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise StartupError(Exit.KEY, f"{kit.key} is not a private key without a password") from error
    if _encoded(key.public_key()) != _encoded(certificate.public_key()):
        raise StartupError(
            Exit.KEY,
            f"the private key {kit.key} does not match the certificate {kit.certificate}: "
            f"one is of another participant or older; hand over both of the same kit of {kit.facts.name}",
        )


def _encoded(public_key: object) -> bytes:
    encoded: bytes = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _check_time(file: Path, certificate: x509.Certificate, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise StartupError(
            Exit.CERTIFICATE, f"the certificate {file} expired on {end:%Y-%m-%d %H:%M} UTC. Renew it: {RENEW}"
        )
    if now < begin:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {file} is not valid before {begin:%Y-%m-%d %H:%M} UTC, and this clock says "
            f"{now:%Y-%m-%d %H:%M} UTC. Set the clock, or renew the certificate: {RENEW}",
        )


def _check_root(kit: Kit, chain: list[x509.Certificate]) -> None:
    try:
        for certificate, issuer in pairwise(chain):
            certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {kit.certificate} is not signed by {kit.root_certificate}: "
            "they are of two federations. Hand over the whole kit again",
        ) from error


def _check_name(kit: Kit, certificate: x509.Certificate) -> None:
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if kit.facts.name not in names:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {kit.certificate} is of {', '.join(names) or 'nobody'}, "
            f"the kit of {kit.facts.name}. Hand over the whole kit again",
        )
