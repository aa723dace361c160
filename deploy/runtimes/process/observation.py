"""How a server or site that runs as a process is now: what its process says, then what its telemetry says."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from deploy.runtimes.exit_reason import exit_reason
from deploy.runtimes.process.run_folder import Member, Plan, RunFolder
from deploy.runtimes.protocol import SiteState, SiteStatus
from deploy.runtimes.records import Record

ANSWER_SECONDS = 2.0
SILENT_SECONDS = 10.0
"""A process this young may not have opened its telemetry yet."""
LOG_TAIL_BYTES = 16_384


def observe(folder: RunFolder, plan: Plan) -> tuple[SiteStatus, ...]:
    """Every server and site of the plan, asked at once."""
    with ThreadPoolExecutor(max_workers=min(32, len(plan.members) or 1)) as pool:
        return tuple(pool.map(lambda member: _observe(folder, member), plan.members))


def _observe(folder: RunFolder, member: Member) -> SiteStatus:
    record = folder.record(member.name)
    if record is None:
        return SiteStatus(name=member.name, role=member.role, state=SiteState.STOPPED)
    process = record.process()
    if process is None:
        # The keeper may just be writing down how it ended.
        return _ended(folder, member, folder.record(member.name) or record)
    state, reason = _ask(member, time.time() - record.created)
    return SiteStatus(
        name=member.name,
        role=member.role,
        state=state,
        reason=reason,
        telemetry_url=member.telemetry_url,
        where=f"process {record.pid}",
    )


def _ended(folder: RunFolder, member: Member, record: Record) -> SiteStatus:
    return SiteStatus(
        name=member.name,
        role=member.role,
        state=SiteState.EXITED,
        reason=exit_reason(record.exit_code, tail(folder.log(member.name))),
        exit_code=record.exit_code,
        where=f"process {record.pid}, ended",
    )


def tail(log: Path) -> list[str]:
    """The last lines of a log; none if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def _ask(member: Member, age: float) -> tuple[SiteState, str]:
    """What its telemetry says of it."""
    try:
        status, document = _get(member.telemetry_port, "/readyz")
    except (OSError, http.client.HTTPException, ValueError):
        if age < SILENT_SECONDS:
            return SiteState.STARTING, "it starts"
        return SiteState.NOT_READY, f"its telemetry does not answer ({member.telemetry_url})"
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
