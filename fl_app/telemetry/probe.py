"""Health check in a container or pod: `python -m fl_app.telemetry.probe [readyz|healthz|metrics]`.

Prints "ready", "healthy" or the metrics, or the reason if the check fails. Exit status: 0 if the parent is
ready (or healthy), 1 if not or if its telemetry does not answer.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from contextlib import closing

from fl_app.contract import ENV_TELEMETRY_HOST, ENV_TELEMETRY_PORT, TELEMETRY_PORT

TIMEOUT_SECONDS = 5.0


def main() -> int:
    """Request the path, print the result or the reason of a failure, and return the exit status."""
    path = sys.argv[1] if len(sys.argv) > 1 else "readyz"
    host = os.environ.get(ENV_TELEMETRY_HOST) or "127.0.0.1"
    if host == "0.0.0.0":  # noqa: S104
        host = "127.0.0.1"
    port = int(os.environ.get(ENV_TELEMETRY_PORT) or TELEMETRY_PORT)
    with closing(http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("GET", f"/{path}")
            response = connection.getresponse()
            body = response.read()
        except OSError as error:
            print(f"its telemetry does not answer: {error}")
            return 1
    if response.status == http.client.OK:
        print({"readyz": "ready", "healthz": "healthy"}.get(path) or body.decode())
        return 0
    try:
        print(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        print(f"its telemetry answers {response.status}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
