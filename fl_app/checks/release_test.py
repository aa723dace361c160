"""The pod of `helm test`: `python -m fl_app.checks.release_test NAME URL SECONDS [HOST PORT]`.

It checks that the parent is ready and, if HOST and PORT are given, the certificate of the server. Prints a
line for each check. Exit status: 0, or 1 with the reason on stderr.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from fl_app.checks.check import Category, Check, CheckFailed
from fl_app.contract import KIT_PATH

REQUEST_SECONDS = 5.0
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Release:
    """An installed server or site."""

    name: str
    url: str
    """http://HOST:PORT of its telemetry."""
    seconds: float
    """How long to wait until it is ready."""
    server: tuple[str, int] | None = None
    """Host and port of the server's Service; None for a site."""
    root_certificate: Path = Path(KIT_PATH, "startup", "rootCA.pem")


def check_ready(release: Release) -> str:
    """Wait until the parent is ready.

    Raises:
        CheckFailed: it is not ready in time.
    """
    deadline = time.monotonic() + release.seconds
    while True:
        try:
            with urllib.request.urlopen(f"{release.url}/readyz", timeout=REQUEST_SECONDS) as answer:  # noqa: S310
                return str(answer.read().decode().strip())
        except urllib.error.HTTPError as error:
            reason = _reason(error.read(), error.code)
        except OSError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise CheckFailed(f"{release.name} is not ready: {reason}")
        time.sleep(1)


def check_federation_port(release: Release) -> str | None:
    """Check that the certificate on the server's federation port is one of this federation.

    Raises:
        CheckFailed: it is not, or the port does not answer.
    """
    if release.server is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate lacks the Service name; the root certificate decides
    context.load_verify_locations(release.root_certificate)
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(release.server, CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=release.server[0]) as channel,
        ):
            expiry = (channel.getpeercert() or {}).get("notAfter")
            return f"{channel.version()}, certificate valid until {expiry}"
    except OSError as error:
        raise CheckFailed(
            f"{release.name}: its federation port does not answer as its server: {error}"
        ) from error


CHECKS = (
    Check(
        "ready",
        Category.FEDERATION,
        "The server accepts jobs; a site is registered and its last contact is recent.",
        "See the reason in the message, then the log of the server or site.",
        check_ready,
        deadline=60.0,
        is_fatal=True,
    ),
    Check(
        "federation-port",
        Category.FEDERATION,
        "The federation issued the certificate on the server's federation port (server).",
        "Check the Service and the load balancer in front of it: they must forward TCP and not end TLS.",
        check_federation_port,
        deadline=CONNECT_SECONDS,
    ),
)


def main(arguments: list[str]) -> int:
    """Run the checks and return the exit status."""
    name, url, seconds, *server = arguments
    address = (server[0], int(server[1])) if server else None
    release = Release(name, url, float(seconds), address)
    try:
        for check in CHECKS:
            if fact := check.run(release):
                print(f"{check.name}: {fact}", flush=True)
    except CheckFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _reason(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return f"its telemetry answers {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
