"""Status of a server or site that runs as a process, by its process record and its telemetry."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

from deploy.runtimes.exit_reason import exit_reason
from deploy.runtimes.process.run_folder import FederationSpec, ParentSpec, ProcessRunFolder
from deploy.runtimes.protocol import SiteState, SiteStatus

ANSWER_SECONDS = 2.0
STARTUP_SECONDS = 10.0
"""Time that a process may take to open its telemetry port."""


def observe(folder: ProcessRunFolder, spec: FederationSpec) -> tuple[SiteStatus, ...]:
    """Return the status of the server and every site. They are queried concurrently."""
    with ThreadPoolExecutor(max_workers=min(32, len(spec.members) or 1)) as pool:
        return tuple(pool.map(lambda member: _observe(folder, member), spec.members))


def _observe(folder: ProcessRunFolder, spec: ParentSpec) -> SiteStatus:
    record = folder.record(spec.name)
    if record is None:
        return SiteStatus(name=spec.name, role=spec.role, state=SiteState.STOPPED)
    where = f"process {record.pid}"
    if record.process() is None:
        record = folder.record(spec.name) or record  # the supervisor may have just changed it
    status = partial(
        SiteStatus, name=spec.name, role=spec.role, restarts=record.restarts, last_exit=record.last_exit
    )
    if record.process() is None:
        if not record.is_final and folder.is_supervised(spec.name):
            return status(state=SiteState.STARTING, reason="starting again")
        code, lines = record.exit_code, folder.last_lines(spec.name)
        reason, where = exit_reason(code, lines), f"{where}, exited"
        return status(state=SiteState.EXITED, reason=reason, exit_code=code, where=where)
    status = partial(status, telemetry_url=spec.telemetry_url, where=where)
    try:
        answer, document = _get(spec.telemetry_port, "/readyz")
    except (OSError, http.client.HTTPException, ValueError):
        if time.time() - record.created < STARTUP_SECONDS:
            return status(state=SiteState.STARTING, reason="starting")
        reason = f"its telemetry does not answer ({spec.telemetry_url})"
        return status(state=SiteState.NOT_READY, reason=reason)
    if "restarts" in document:
        status = partial(status, restarts=document["restarts"], last_exit=document.get("last_exit", ""))
    if answer == http.client.OK:
        return status(state=SiteState.READY)
    state = SiteState.STARTING if document.get("starting") else SiteState.NOT_READY
    return status(state=state, reason=str(document.get("reason", f"its telemetry answers {answer}")))


def _get(port: int, path: str) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        document = json.loads(answer.read())
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return answer.status, document
