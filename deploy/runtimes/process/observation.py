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
from deploy.runtimes.follow import last_lines
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
    status = partial(SiteStatus, name=spec.name, role=spec.role)
    record = folder.record(spec.name)
    if record is None:
        return status(state=SiteState.STOPPED)
    where = f"process {record.pid}"
    if record.process() is None:
        record = folder.record(spec.name) or record  # the supervisor may have just added the exit code
        code, lines = record.exit_code, last_lines(folder.log(spec.name))
        reason, where = exit_reason(code, lines), f"{where}, exited"
        return status(state=SiteState.EXITED, reason=reason, exit_code=code, where=where)
    state, reason = _readiness(spec, time.time() - record.created)
    return status(state=state, reason=reason, telemetry_url=spec.telemetry_url, where=where)


def _readiness(spec: ParentSpec, age: float) -> tuple[SiteState, str]:
    try:
        status, document = _get(spec.telemetry_port, "/readyz")
    except (OSError, http.client.HTTPException, ValueError):
        if age < STARTUP_SECONDS:
            return SiteState.STARTING, "starting"
        return SiteState.NOT_READY, f"its telemetry does not answer ({spec.telemetry_url})"
    if status == http.client.OK:
        return SiteState.READY, ""
    state = SiteState.STARTING if document.get("starting") else SiteState.NOT_READY
    return state, str(document.get("reason", f"its telemetry answers {status}"))


def _get(port: int, path: str) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        document = json.loads(answer.read())
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return answer.status, document
