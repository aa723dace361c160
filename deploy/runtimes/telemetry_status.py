"""What the telemetry of running parents adds to a status: sites that the server misses, and restarts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from deploy.runtimes.protocol import FederationStatus, SiteState, SiteStatus
from fl_app.survival.limits import duration

ANSWER_SECONDS = 2.0
_SERVER = "server"


def with_restarts(status: FederationStatus) -> FederationStatus:
    """Return the status with the restarts of parents inside their containers."""
    with ThreadPoolExecutor(max_workers=min(32, len(status.sites) or 1)) as pool:
        return status.model_copy(update={"sites": tuple(pool.map(_with_restarts, status.sites))})


def as_server_sees(status: FederationStatus) -> FederationStatus:
    """Return the status in which a site is not ready whose heartbeats do not reach the server.

    The server decides by the same limit as the scheduler, the guard and `watch`. A site that was cut off may
    call itself ready for longer.
    """
    server = next((site for site in status.sites if site.role == _SERVER), None)
    away = _readiness(server).get("away", {}) if server is not None else {}
    sites = tuple(_missed(site, away[site.name]) if site.name in away else site for site in status.sites)
    return status.model_copy(update={"sites": sites})


def _missed(site: SiteStatus, seconds: float) -> SiteStatus:
    if site.state is not SiteState.READY:
        return site  # its own reason says more
    reason = f"the server has received no heartbeat of it for {duration(seconds)}"
    return site.model_copy(update={"state": SiteState.NOT_READY, "reason": reason})


def _with_restarts(site: SiteStatus) -> SiteStatus:
    answer = _readiness(site)
    if not answer.get("restarts"):
        return site
    update = {"restarts": answer["restarts"], "last_exit": answer.get("last_exit", "")}
    return site.model_copy(update=update)


def _readiness(site: SiteStatus) -> dict[str, Any]:
    """Return the answer of /readyz of a ready server or site; empty without an answer."""
    if site.state is not SiteState.READY or not site.telemetry_url:
        return {}
    try:
        with urlopen(f"{site.telemetry_url}/readyz", timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - http
            return dict(json.load(answer))
    except HTTPError as error:  # it has just become not ready
        error.close()
        return {}
    except (URLError, OSError, ValueError, TypeError):
        return {}
