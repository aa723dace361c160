"""Wait for the server: its name resolves, its port answers, and its certificate is this federation's."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from fl_app.checks.check import Category, Check, require
from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Identity

POLL_SECONDS = 0.1
SLOW_POLL_SECONDS = 1.0
SLOW_AFTER_SECONDS = 10.0
CONNECT_TIMEOUT_SECONDS = 5.0

RUNNING = "check that the server is running and that firewalls allow the connection"
GRPC = ("grpc", "agrpc", "ngrpc")


class ServerUnavailable(StartupError):  # noqa: N818
    """The server does not answer; a later attempt may succeed.

    Args:
        exit_code: exit code of the parent if it stops waiting.
        reason: what is wrong.
        remedy: what to do.
    """

    def __init__(self, exit_code: Exit, reason: str, remedy: str) -> None:
        super().__init__(exit_code, f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


def wait_for_server(identity: Identity, seconds: float, on_wait: Callable[[str], None]) -> None:
    """Wait until the server answers, and check its certificate; pass each reason to wait to `on_wait`.

    Raises:
        StartupError: the server did not answer in time, or it belongs to another federation.
    """
    start = time.monotonic()
    while True:
        try:
            require(CHECKS, identity)
        except ServerUnavailable as error:
            waited = time.monotonic() - start
            if waited >= seconds:
                reason = f"{error.reason}, after {waited:.0f} s of waiting"
                raise ServerUnavailable(error.exit_code, reason, error.remedy) from error
            on_wait(error.reason)
            time.sleep(POLL_SECONDS if waited < SLOW_AFTER_SECONDS else SLOW_POLL_SECONDS)
        else:
            return


def check_server_name(identity: Identity) -> str:
    """Check that the server's name resolves.

    Raises:
        ServerUnavailable: it does not.
    """
    host, port = identity.address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise ServerUnavailable(
            Exit.SERVER_NAME,
            f"the server's name {host} does not resolve ({getattr(error, 'strerror', error)})",
            f"check the name, and that a name server which {identity.name} uses knows it",
        ) from error
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return f"{host} is {', '.join(addresses)}"


def check_server_port(identity: Identity) -> str:
    """Check that the server's port accepts connections.

    Raises:
        ServerUnavailable: it does not.
    """
    host, port = identity.address
    _connect(identity.address).close()
    return f"{host}:{port} accepts connections"


def check_server_certificate(identity: Identity) -> str:
    """Do the TLS handshake that NVFlare will do, and check the server's certificate.

    Raises:
        ServerUnavailable: the server does not answer.
        StartupError: its certificate is not one of this federation and of this host.
    """
    host, port = identity.address
    if identity.security == "clear":
        return "the connection is not encrypted (connection_security: clear)"
    with _connect(identity.address) as connection:
        certificate = _handshake(identity, connection)
    _check_name(identity, certificate)
    return f"{host}:{port} has a certificate of this federation, valid until {certificate.get('notAfter')}"


CHECKS = (
    Check(
        "server-name",
        Category.CONNECTION,
        "The server's name resolves on this machine.",
        "Ask the operator of the server for the name, and your network team for a DNS entry or a line in the "
        "hosts file.",
        check_server_name,
        is_fatal=True,
    ),
    Check(
        "server-port",
        Category.CONNECTION,
        "The server's port accepts connections from this machine.",
        "Ask your network team to allow outgoing TCP to the server's host and port, and the operator whether "
        "the server is running.",
        check_server_port,
        is_fatal=True,
    ),
    Check(
        "server-certificate",
        Category.CONNECTION,
        "The TLS handshake ends with the certificate of this federation's server: nothing intercepts it.",
        "If a firewall or proxy inspects TLS, it replaces the certificate: ask your network team to exempt "
        "the server's host and port. Otherwise another server answers, or the kit is of another "
        "federation.",
        check_server_certificate,
    ),
)
"""The way to the server, in the order in which a connection uses it."""


def _connect(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        return socket.create_connection(address, CONNECT_TIMEOUT_SECONDS)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServerUnavailable(
            Exit.SERVER_UNREACHABLE, f"the server {host}:{port} does not answer ({reason.lower()})", RUNNING
        ) from error


def _handshake(identity: Identity, connection: socket.socket) -> dict[str, Any]:
    """Return the server's certificate."""
    host, port = identity.address
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(identity.root_certificate))
    context.check_hostname = False  # _check_name does it: NVFlare's drivers accept different names
    # The key of a site may be in a cluster only, or readable only by its container.
    if os.access(identity.key, os.R_OK):
        context.load_cert_chain(str(identity.certificate), str(identity.key))
    if identity.scheme in GRPC:
        context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection, server_hostname=host) as channel:
            return channel.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        remedy = (
            "Renew it: flarefleet provision --renew"
            if "expired" in error.verify_message
            else "Another server answers at this address, a proxy intercepts the connection, or this kit "
            "belongs to another federation"
        )
        raise StartupError(
            Exit.SERVER_CERTIFICATE,
            f"the certificate of {host}:{port} is invalid: {error.verify_message}. {remedy}",
        ) from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        # A proxy in front of a server that is down accepts the connection and closes it.
        raise _closed(identity, error) from error
    except ssl.SSLError as error:
        raise StartupError(
            Exit.SERVER_CERTIFICATE,
            f"the TLS handshake with {host}:{port} failed ({error.reason or error}); "
            "check that this is the address of the federation's server",
        ) from error
    except OSError as error:
        raise _closed(identity, error) from error


def _closed(identity: Identity, error: OSError) -> ServerUnavailable:
    host, port = identity.address
    reason = f"the server {host}:{port} closes connections ({error})"
    return ServerUnavailable(Exit.SERVER_UNREACHABLE, reason, RUNNING)


def _check_name(identity: Identity, certificate: dict[str, Any]) -> None:
    """Check that the certificate covers the server's host.

    gRPC requires the name in the address. The other drivers ignore it, and NVFlare checks the server's
    identity instead, so they also accept the server under another name (a tunnel, a forwarded port).
    """
    host, _ = identity.address
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    if any(_covers(name, host) for name in names):
        return
    subject = [attribute for part in certificate.get("subject", ()) for attribute in part]
    if identity.scheme not in GRPC and ("commonName", identity.server) in subject:
        return
    raise StartupError(
        Exit.SERVER_CERTIFICATE,
        f"the server's certificate is for {', '.join(names) or 'no name'}, not for {host}. "
        f"Add {host} to the server's host_names in project.yml and provision again, "
        "or connect to one of the names in the certificate",
    )


def _covers(pattern: str, host: str) -> bool:
    """Return whether a name in a certificate, which may begin with `*.`, covers `host`."""
    try:
        return ipaddress.ip_address(pattern) == ipaddress.ip_address(host)
    except ValueError:
        pass
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:]
    return pattern == host
