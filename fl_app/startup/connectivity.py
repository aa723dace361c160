"""Wait for the server: its name resolves, its port answers, and its certificate is this federation's."""

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


def server_address(kit: Kit, override: tuple[str, int] | None) -> tuple[str, int]:
    """Return the host and port at which this site connects to its server."""
    if override:
        return override
    host, _, port = kit.service["service"]["target"].rpartition(":")
    return host, int(port)


def wait_for_server(
    kit: Kit, address: tuple[str, int], seconds: float, on_wait: Callable[[str], None]
) -> None:
    """Wait until the server answers, and check its certificate; pass each reason to wait to `on_wait`.

    Raises:
        StartupError: the server did not answer in time, or it belongs to another federation.
    """
    start = time.monotonic()
    while True:
        try:
            _check_once(kit, address)
        except _ServerUnavailable as reason:
            waited = time.monotonic() - start
            if waited >= seconds:
                raise reason.as_startup_error(kit.facts.name, waited) from reason
            on_wait(str(reason))
            time.sleep(POLL_SECONDS if waited < SLOW_AFTER_SECONDS else SLOW_POLL_SECONDS)
        else:
            return


class _ServerUnavailable(Exception):  # noqa: N818
    """The server does not answer; a later attempt may succeed."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code

    def as_startup_error(self, site: str, waited: float) -> StartupError:
        remedy = (
            f"check the name, and that a name server which {site} uses knows it"
            if self.code is Exit.SERVER_NAME
            else "check that the server is running and that firewalls allow the connection"
        )
        return StartupError(self.code, f"{self}, after {waited:.0f} s of waiting; {remedy}")


def _check_once(kit: Kit, address: tuple[str, int]) -> None:
    host, port = address
    try:
        connection = socket.create_connection(address, CONNECT_TIMEOUT_SECONDS)
    except (socket.gaierror, UnicodeError) as error:
        raise _ServerUnavailable(
            Exit.SERVER_NAME,
            f"the server's name {host} does not resolve ({getattr(error, 'strerror', error)})",
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise _ServerUnavailable(
            Exit.SERVER_UNREACHABLE, f"the server {host}:{port} does not answer ({reason.lower()})"
        ) from error
    with connection:
        _check_certificate(kit, address, connection)


def _check_certificate(kit: Kit, address: tuple[str, int], connection: socket.socket) -> None:
    """Do the TLS handshake that NVFlare will do, and check the server's certificate."""
    host, port = address
    security = kit.service.get("connection_security", "mtls")
    if security == "clear":
        return
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(kit.root_certificate))
    context.check_hostname = False  # _check_name does it: NVFlare's drivers accept different names
    context.load_cert_chain(str(kit.certificate), str(kit.key))
    if kit.scheme in GRPC:
        context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection, server_hostname=host) as channel:
            certificate = channel.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        remedy = (
            "Renew it: flarefleet provision --renew"
            if "expired" in error.verify_message
            else "Another server answers at this address, or this kit belongs to another federation"
        )
        raise StartupError(
            Exit.SERVER_CERTIFICATE,
            f"the certificate of {host}:{port} is invalid: {error.verify_message}. {remedy}",
        ) from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        # A proxy in front of a server that is down accepts the connection and closes it.
        raise _closed(address, error) from error
    except ssl.SSLError as error:
        raise StartupError(
            Exit.SERVER_CERTIFICATE,
            f"the TLS handshake with {host}:{port} failed ({error.reason or error}); "
            "check that this is the address of the federation's server",
        ) from error
    except OSError as error:
        raise _closed(address, error) from error
    _check_name(kit, host, certificate)


def _closed(address: tuple[str, int], error: OSError) -> _ServerUnavailable:
    host, port = address
    return _ServerUnavailable(
        Exit.SERVER_UNREACHABLE, f"the server {host}:{port} closes connections ({error})"
    )


def _check_name(kit: Kit, host: str, certificate: dict[str, Any]) -> None:
    """Check that the certificate covers `host`.

    gRPC requires the name in the address. The other drivers ignore it, and NVFlare checks the server's
    identity instead, so they also accept the server under another name (a tunnel, a forwarded port).
    """
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    if any(_covers(name, host) for name in names):
        return
    subject = [attribute for part in certificate.get("subject", ()) for attribute in part]
    if kit.scheme not in GRPC and ("commonName", kit.facts.server.name) in subject:
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
