"""Check the certificate and its private key, with clearer messages than NVFlare's."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from fl_app.checks.check import Category, Check, CheckFailed, Severity
from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Identity, check_readable
from fl_app.contract import ENV_KEY

RENEW = "flarefleet provision --renew"
EXPIRY_DAYS = 30
"""Remaining days from which `flarefleet provision --renew` renews a certificate."""


def check_key(identity: Identity) -> str:
    """Check that the private key is readable and matches the certificate.

    Raises:
        StartupError: it is missing, unreadable, or the key of another certificate.
    """
    check_readable(identity.key, Exit.KEY, f"put the private key there, or set {ENV_KEY} to its folder")
    certificate = load_certificates(identity.certificate)[0]
    try:
        # Skip the check of the primes: it takes 30 ms, and provisioning made the key.
        key = load_pem_private_key(
            identity.key.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError) as error:
        raise StartupError(Exit.KEY, f"{identity.key} is not a private key without a password") from error
    if key.public_key() != certificate.public_key():
        raise StartupError(
            Exit.KEY,
            f"the private key {identity.key} does not match the certificate {identity.certificate}: "
            "one of them is older or belongs to another participant; "
            f"use both from one kit of {identity.name}",
        )
    return f"{identity.key} matches the certificate"


def check_certificate(identity: Identity) -> str:
    """Check that certificate, root and name match, and that both certificates are valid now.

    Raises:
        StartupError: one of these checks failed.
    """
    now = datetime.now(timezone.utc)
    chain = load_certificates(identity.certificate)
    root = load_certificates(identity.root_certificate)[0]
    for certificate in chain:
        _check_validity(identity.certificate, certificate, now)
    _check_validity(identity.root_certificate, root, now)
    _check_signatures(identity, [*chain, root])
    _check_name(identity, chain[0])
    return f"{identity.certificate} belongs to {identity.name}"


def check_expiry(identity: Identity) -> str:
    """Check that the certificates are valid for another EXPIRY_DAYS days.

    Raises:
        CheckFailed: one of them is not.
    """
    expiry = {
        file: min(one.not_valid_after_utc for one in load_certificates(file))
        for file in (identity.certificate, identity.root_certificate)
    }
    file, first = min(expiry.items(), key=lambda pair: pair[1])
    days = (first - datetime.now(timezone.utc)).days
    if days < EXPIRY_DAYS:
        raise CheckFailed(
            f"the certificate {file} expires in {days} days ({first:%Y-%m-%d}). Renew it: {RENEW}"
        )
    return f"valid for {days} days (until {first:%Y-%m-%d})"


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


def _check_signatures(identity: Identity, chain: list[x509.Certificate]) -> None:
    try:
        for certificate, issuer in pairwise(chain):
            certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {identity.certificate} is not signed by {identity.root_certificate}: "
            "they belong to two federations. Install the complete kit again",
        ) from error


def _check_name(identity: Identity, certificate: x509.Certificate) -> None:
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if identity.name not in names:
        raise StartupError(
            Exit.CERTIFICATE,
            f"the certificate {identity.certificate} belongs to {', '.join(names) or 'no participant'}, "
            f"the kit to {identity.name}. Install the complete kit again",
        )


CHECKS = (
    Check(
        "private-key",
        Category.CREDENTIALS,
        "The private key is readable and belongs to the certificate.",
        "Install key and certificate from one kit. A parent runs as user 10001 in a container and must be "
        "able to read the key.",
        check_key,
    ),
    Check(
        "certificate",
        Category.CREDENTIALS,
        "The certificate is valid now, has the participant's name, and this federation signed it.",
        "Renew an expired certificate with `flarefleet provision --renew` and hand out the kit again. If it "
        "is not valid yet, set the clock.",
        check_certificate,
    ),
)
"""What a parent requires of its credentials."""
EXPIRY = Check(
    "certificate-expiry",
    Category.CREDENTIALS,
    f"The certificates are valid for at least {EXPIRY_DAYS} more days.",
    "The operator runs `flarefleet provision --renew` and hands out the renewed kits.",
    check_expiry,
    Severity.WARNING,
)
