"""Health check in a container or pod: `python -m fl_app.telemetry.probe [readyz|healthz|metrics]`.

Prints "ready", "healthy" or the metrics, or the reason if the check fails. Exit status: 0 if the parent is
ready (or healthy), 1 if not or if its telemetry does not answer.

Docker starts it every few seconds, so it imports nothing but `socket`: `http.client` triples its CPU time.
"""

from __future__ import annotations

import os
import socket
import sys

from fl_app.contract import ENV_TELEMETRY_HOST, ENV_TELEMETRY_PORT, TELEMETRY_PORT

TIMEOUT_SECONDS = 5.0
_OK = "200"


def main() -> int:
    """Request the path, print the result or the reason of a failure, and return the exit status."""
    path = sys.argv[1] if len(sys.argv) > 1 else "readyz"
    host = os.environ.get(ENV_TELEMETRY_HOST) or "127.0.0.1"
    if host == "0.0.0.0":  # noqa: S104
        host = "127.0.0.1"
    try:
        status, body = _get(host, int(os.environ.get(ENV_TELEMETRY_PORT) or TELEMETRY_PORT), path)
    except (OSError, EOFError, ValueError, IndexError) as error:  # also a port that is no number, or no HTTP
        print(f"its telemetry does not answer: {error}")
        return 1
    if status == _OK:
        print({"readyz": "ready", "healthz": "healthy"}.get(path) or body)
        return 0
    print(_reason(body) or f"its telemetry answers {status}")
    return 1


def _get(host: str, port: int, path: str) -> tuple[str, str]:
    """Return the status code and the body of a response.

    Raises:
        OSError: no connection, or no answer in time.
        EOFError: the connection closed before the body.
    """
    with socket.create_connection((host, port), TIMEOUT_SECONDS) as connection:
        connection.sendall(f"GET /{path} HTTP/1.0\r\n\r\n".encode())  # after HTTP/1.0 the server closes
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        raise EOFError("it closed the connection")
    return head.split(maxsplit=2)[1].decode(), body.decode(errors="replace")


def _reason(body: str) -> str:
    import json

    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
