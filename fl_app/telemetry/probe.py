"""Asks this machine's telemetry from within a container: `python -m fl_app.telemetry.probe [readyz|healthz]`.

Prints the reason when the answer is no. Exit codes: 0 yes; 1 no, or no answer.
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
    """Ask, and say why not."""
    path = sys.argv[1] if len(sys.argv) > 1 else "readyz"
    host = os.environ.get(ENV_TELEMETRY_HOST) or "127.0.0.1"
    if host == "0.0.0.0":  # noqa: S104
        host = "127.0.0.1"
    port = int(os.environ.get(ENV_TELEMETRY_PORT) or TELEMETRY_PORT)
    with closing(http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("GET", f"/{path}")
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            print(f"its telemetry does not answer: {error}")
            return 1
    if answer.status == http.client.OK:
        return 0
    try:
        print(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        print(f"its telemetry answers {answer.status}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
