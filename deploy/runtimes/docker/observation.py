"""How a container reads as a site: Docker's health check asks the telemetry and keeps the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploy.runtimes.exit_reason import exit_reason
from deploy.runtimes.protocol import SiteState, SiteStatus
from fl_app.contract import LABEL_ROLE, LABEL_SITE, TELEMETRY_PORT

if TYPE_CHECKING:
    from docker.models.containers import Container

TAIL_LINES = 50


def observe(container: Container) -> SiteStatus:
    """The server or site in that container, from what the engine knows of it; no network is needed."""
    attributes = container.attrs
    state = attributes["State"]
    labels = attributes["Config"]["Labels"]
    found, reason = _state(state)
    if found is SiteState.EXITED:
        reason = _why_it_ended(container, state)
    ended = found is SiteState.EXITED
    return SiteStatus(
        name=labels[LABEL_SITE],
        role=labels[LABEL_ROLE],
        state=found,
        reason=reason,
        exit_code=state["ExitCode"] if ended else None,
        telemetry_url=None if ended else _telemetry_url(attributes),
        where=f"container {container.name}",
    )


def _state(state: Mapping[str, Any]) -> tuple[SiteState, str]:
    if state["Status"] in ("exited", "dead", "restarting", "removing"):
        return SiteState.EXITED, ""
    if state["Status"] == "paused":
        return SiteState.NOT_READY, "its container is paused: docker unpause"
    health = state.get("Health") or {"Status": "starting", "Log": []}
    last = health["Log"][-1] if health.get("Log") else None
    answer = last["Output"].strip() if last else ""
    if health["Status"] == "starting":
        return SiteState.STARTING, answer
    if health["Status"] == "healthy" and last is not None and last["ExitCode"] == 0:
        return SiteState.READY, ""
    return SiteState.NOT_READY, answer or "its telemetry does not answer"


def _why_it_ended(container: Container, state: Mapping[str, Any]) -> str:
    if state.get("OOMKilled"):
        return "it took more memory than its limit (deployment: resources: limits: memory)"
    return state.get("Error") or exit_reason(state["ExitCode"], tail(container))


def tail(container: Container) -> list[str]:
    """The last lines that the container wrote."""
    return container.logs(tail=TAIL_LINES).decode("utf-8", "replace").splitlines()


def _telemetry_url(attributes: Mapping[str, Any]) -> str | None:
    for network in attributes["NetworkSettings"]["Networks"].values():
        if address := network.get("IPAddress"):
            return f"http://{address}:{TELEMETRY_PORT}"
    return None
