"""A site's way to its server: the name resolves, the port answers, and it is this federation's server."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.kit import Kit

POLL_SECONDS = 0.1
SLOW_POLL_SECONDS = 1.0
SLOW_AFTER_SECONDS = 10.0
CONNECT_TIMEOUT_SECONDS = 5.0

GRPC = ("grpc", "agrpc", "ngrpc")

Waiting = Callable[[str], None]
"""Told, again and again, what the wait is for."""


def server_address(kit: Kit, override: tuple[str, int] | None) -> tuple[str, int]:
    """Host and port under which this site reaches its server."""
    if override:
        return override
    host, _, port = kit.service["service"]["target"].rpartition(":")
    return host, int(port)


def wait_for_server(kit: Kit, address: tuple[str, int], seconds: float, waiting: Waiting) -> None:
    """Wait until the server answers, for `seconds` at most, and check its certificate.

    Raises:
        StartupError: it did not answer, or it is not the server of this federation.
    """
    begin = time.monotonic()
    while True:
        try:
            _check_once(kit, address)
        except _NotYet as reason:
            waited = time.monotonic() - begin
            if waited >= seconds:
                raise reason.error(kit.facts.name, waited) from reason
            waiting(str(reason))
            time.sleep(POLL_SECONDS if waited < SLOW_AFTER_SECONDS else SLOW_POLL_SECONDS)
        else:
            return


class _NotYet(Exception):  # noqa: N818
    """The server does not answer yet; it may a moment later."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code

    def error(self, site: str, waited: float) -> StartupError:
        remedy = (
            f"check the name, and that {site} can ask a name server that knows it"
            if self.code is Exit.SERVER_NAME
            else "is it up, and do firewalls let the connection through?"
        )
        return StartupError(self.code, f"{self}, after {waited:.0f} s of waiting; {remedy}")


def _check_once(kit: Kit, address: tuple[str, int]) -> None:
    host, port = address
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise _NotYet(
            Exit.SERVER_NAME,
            f"the server's name {host} does not resolve ({getattr(error, 'strerror', error)})",
        ) from error
    try:
        connection = _connect(addresses)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _NotYet(
            Exit.SERVER_UNREACHABLE, f"the server {host}:{port} does not answer ({reason.lower()})"
        ) from error
    with connection:
        _check_certificate(kit, address, connection)


def _connect(addresses: list[Any]) -> socket.socket:
    """Connect to the first of the addresses that answers.

    Raises:
        OSError: none does; the error of the last.
    """
    last = OSError("no address")
    for family, kind, protocol, _, target in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(CONNECT_TIMEOUT_SECONDS)
        try:
            connection.connect(target)
        except OSError as error:
            connection.close()
            last = error
        else:
            return connection
    raise last


def _check_certificate(kit: Kit, address: tuple[str, int], connection: socket.socket) -> None:
    """Shake hands as NVFlare will, and look at the certificate that comes back."""
    host, port = address
    security = kit.service.get("connection_security", "mtls")
    if security == "clear":
        return
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(kit.root_certificate))
    context.check_hostname = False  # done below: NVFlare's drivers differ in which name they accept
    context.load_cert_chain(str(kit.certificate), str(kit.key))
    if kit.scheme in GRPC:
        context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection, server_hostname=host) as channel:
            certificate = channel.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise StartupError(
            Exit.SERVER_CERTIFICATE,
            f"the certificate of {host}:{port} is refused: {error.verify_message}. "
            + (
                "Renew it: flarefleet provision --renew"
                if "expired" in error.verify_message
                else "Another server answers there, or this kit is of another federation"
            ),
        ) from error
    except ssl.SSLError as error:
        raise StartupError(
            Exit.SERVER_CERTIFICATE,
            f"{host}:{port} does not speak TLS as this federation's server does ({error.reason or error}); "
            "is it that server's port?",
        ) from error
    except OSError as error:
        raise _NotYet(
            Exit.SERVER_UNREACHABLE, f"the server {host}:{port} breaks connections off ({error})"
        ) from error
    _check_name(kit, host, certificate)


def _check_name(kit: Kit, host: str, certificate: dict[str, Any]) -> None:
    """See that the certificate is for the name that was called.

    gRPC insists on the name in the address. The other drivers do not look at it, and NVFlare checks the
    server's identity instead: under another name (a tunnel, a port forwarded) that will do for them.
    """
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    if any(_covers(name, host) for name in names):
        return
    if kit.scheme not in GRPC and kit.facts.server.name in _identities(certificate):
        return
    raise StartupError(
        Exit.SERVER_CERTIFICATE,
        f"the server's certificate is for {', '.join(names) or 'no name'}, not for {host}. "
        f"Add {host} to the server's host_names in project.yml and provision again, "
        "or reach it by one of its names",
    )


def _identities(certificate: dict[str, Any]) -> set[str]:
    """The common names in a certificate."""
    return {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}


def _covers(pattern: str, host: str) -> bool:
    """Whether a name of a certificate, which may begin with `*.`, is that of `host`."""
    try:
        return ipaddress.ip_address(pattern) == ipaddress.ip_address(host)
    except ValueError:
        pass
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:]
    return pattern == host
