"""The registration of a site: its end, and the process that holds it."""

from __future__ import annotations

from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthenticated

USES = {
    "nvflare.private.fed.client.fed_client_base:FederatedClientBase.close": "log a site out when it stops",
    "nvflare.private.fed.server.client_manager:ClientManager.name_to_clients": "registration of a site",
    "log:nvflare.private.fed.server.fed_server:register_client unauthenticated": (
        "recognize the refusal of a second process with the same kit"
    ),
}

_REFUSAL = "register_client unauthenticated"
"""NVFlare's answer if a component refuses a registration. It does not pass the reason on."""


def log_out(engine: Any) -> None:
    """Log a site out of the server, and end its heartbeats.

    Args:
        engine: NVFlare's engine of the site's parent.
    """
    if engine.client.token:
        engine.client.close()


def registration(engine: Any, site: str) -> tuple[str, float] | None:
    """Return the token of a site's registration and the time of its last contact, in seconds since 1970.

    Args:
        engine: NVFlare's engine of the server's parent.
        site: name of the site.
    """
    client = engine.client_manager.name_to_clients.get(site)
    return None if client is None else (client.token, client.last_connect_time)


def refuse_registration(fl_ctx: FLContext, reason: str) -> None:
    """Refuse the registration whose CLIENT_REGISTER_RECEIVED event is being handled.

    Args:
        fl_ctx: context of the event.
        reason: reason for the server's log.
    """
    exceptions = fl_ctx.get_prop(FLContextKey.EXCEPTIONS) or {}
    exceptions["flarefleet"] = NotAuthenticated(reason)
    fl_ctx.set_prop(FLContextKey.EXCEPTIONS, exceptions, private=True, sticky=False)


def is_refusal_of_second_process(reason: str) -> bool:
    """Return whether the server refused a registration by `refuse_registration`."""
    return reason.strip() == _REFUSAL
