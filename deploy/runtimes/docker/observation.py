"""Status of a server or site in a container, by the container's state and its health check.

The health check queries the telemetry and keeps the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deploy.runtimes.exit_reason import OUT_OF_MEMORY, exit_reason
from deploy.runtimes.protocol import SiteState, SiteStatus
from fl_app.contract import LABEL_ROLE, LABEL_SITE, TELEMETRY_PORT

if TYPE_CHECKING:
    from docker.models.containers import Container

TAIL_LINES = 50


def observe(container: Container) -> SiteStatus:
    """Return the status of the server or site in a container."""
    attributes = container.attrs
    docker_state = attributes["State"]
    labels = attributes["Config"]["Labels"]
    state, reason = _state(docker_state)
    has_exited = state is SiteState.EXITED
    if docker_state.get("OOMKilled") and has_exited:
        reason = OUT_OF_MEMORY
    elif has_exited:
        reason = docker_state.get("Error") or exit_reason(docker_state["ExitCode"], tail(container))
    return SiteStatus(
        name=labels[LABEL_SITE],
        role=labels[LABEL_ROLE],
        state=state,
        reason=reason,
        exit_code=docker_state["ExitCode"] if has_exited else None,
        telemetry_url=None if has_exited else _telemetry_url(attributes),
        where=f"container {container.name}",
    )


def _state(state: Mapping[str, Any]) -> tuple[SiteState, str]:
    if state["Status"] in ("exited", "dead", "restarting", "removing"):
        return SiteState.EXITED, ""
    if state["Status"] == "paused":
        return SiteState.NOT_READY, "its container is paused; resume it: docker unpause"
    health = state.get("Health") or {"Status": "starting", "Log": []}
    last = health["Log"][-1] if health.get("Log") else None
    answer = last["Output"].strip() if last else ""
    if health["Status"] == "starting":
        return SiteState.STARTING, answer
    if health["Status"] == "healthy" and last is not None and last["ExitCode"] == 0:
        return SiteState.READY, ""
    return SiteState.NOT_READY, answer or "its telemetry does not answer"


def tail(container: Container) -> list[str]:
    """Return the last log lines of a container since it was last started."""
    started = container.attrs["State"]["StartedAt"]
    since = datetime.fromisoformat(f"{started[:19]}+00:00").timestamp()
    # The year is 1 if it was never started.
    lines = container.logs(tail=TAIL_LINES, since=since if since > 0 else None)
    return lines.decode("utf-8", "replace").splitlines()


def _telemetry_url(attributes: Mapping[str, Any]) -> str | None:
    for network in attributes["NetworkSettings"]["Networks"].values():
        if address := network.get("IPAddress"):
            return f"http://{address}:{TELEMETRY_PORT}"
    return None
