"""Messages about the registration of a site in NVFlare's error log; NVFlare exits after each of them."""

from __future__ import annotations

from collections.abc import Sequence

USES = {
    "log:nvflare.private.fed.authenticator:registration rejected:": (
        "report why the server refused a registration"
    ),
    "log:nvflare.private.fed.server.fed_server:no registration session": (
        "retry a registration during which the server was started again"
    ),
    "log:nvflare.private.fed.app.client.client_train:Login failed.": (
        "retry a registration that the server did not answer"
    ),
}

_REJECTED = "registration rejected:"
_UNANSWERED = "Login failed."
_FORGOTTEN = "no registration session"
"""The server was started again in the middle of the registration."""


def rejection_reason(lines: Sequence[str]) -> str | None:
    """Return why the server rejected the registration, or None if it did not."""
    reasons = [
        line.partition(_REJECTED)[2].strip()
        for line in lines
        if _REJECTED in line and not line.endswith(_FORGOTTEN)
    ]
    return reasons[-1] if reasons else None


def is_unanswered(lines: Sequence[str]) -> bool:
    """Return whether NVFlare exited because the server did not answer the registration."""
    is_forgotten = any(line.endswith(f"{_REJECTED} {_FORGOTTEN}") for line in lines)
    return is_forgotten or (bool(lines) and lines[-1].endswith(_UNANSWERED))
