"""Why a job failed: the guard's reason if it ended the job, and which site, with the last exception there."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from deploy.session.session import COMPLETED, NEVER_STARTED, AdminSession, Job
from fl_app.guard.finding import reasons_in

LOGS_WITHIN = 6.0
"""Seconds in which a site that failed has sent its error log; it does when its part of the job has ended."""
SHOWN_LINES = 12

_LOG_LINE = re.compile(
    r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d+ - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<text>.*)"
)
_NVFLARE = "/site-packages/nvflare/"
_CONTEXT = re.compile(r"^\[identity=[^\]]*\] - ")
_CONSEQUENCES = (
    "Aborting current RUN", "asked to abort", "FL client execution exception", "Execute exception",
    "no waiter for req", "abort signal", "job aborted", "request to abort",
    "failed to send task result", "Error getting task: failed to download",
    "exception sending request: RuntimeError: failed to download", "download aborted after",
    "no attribute 'get_widget'",
)  # fmt: skip
"""Errors that only tell that the job ends, or that it was asked how it is before it had begun: no cause."""
_BLAMED = re.compile(r"Result from (?P<site>\S+) is bad|reported failure from (?P<other>[^\s:]+)")


@dataclass(frozen=True)
class SiteError:
    """What went wrong at one place."""

    site: str
    """A site, `server`, or `the guard`."""
    text: str
    """The last exception of its log, or the last line that says anything."""


SERVER = "server"
GUARD = "the guard"
"""Whose reason is the cause, in one line; what sites say beside it merely adds to it."""


def explain(session: AdminSession, job: Job) -> tuple[SiteError, ...]:
    """What each site says about a job that failed, or else the server; empty if nobody says anything.

    Waits some seconds for the logs of sites, which come in after the job has ended.
    """
    if job.status == COMPLETED:
        return ()
    if job.status == NEVER_STARTED:
        return (SiteError(SERVER, job.waits_for),) if job.waits_for else ()
    server_log = session.server_log(job.id)
    if reasons := reasons_in(server_log):
        return (SiteError(GUARD, reasons[0]),)
    blamed = {match["site"] or match["other"] for match in _BLAMED.finditer(server_log)}
    logs = _await_logs(session, job.id, blamed)
    errors = [SiteError(site, last_error(log)) for site, log in sorted(logs.items()) if last_error(log)]
    errors.sort(key=lambda error: error.site not in blamed)
    if not errors and (on_server := last_error(server_log)):
        errors.append(SiteError(SERVER, on_server))
    return tuple(errors)


def _await_logs(session: AdminSession, job_id: str, blamed: set[str]) -> dict[str, str]:
    deadline = time.monotonic() + LOGS_WITHIN
    while True:
        logs = session.error_logs(job_id)
        if (logs and blamed <= logs.keys()) or time.monotonic() > deadline:
            return logs
        time.sleep(0.5)


def last_error(log: str) -> str:
    """The cause in a log of NVFlare's: its last exception, or its last error that is no mere consequence;
    else nothing."""
    causes = [
        text for text in _errors(log) if not any(mark in text.splitlines()[0] for mark in _CONSEQUENCES)
    ]
    with_exception = [text for text in causes if "Traceback (most recent call last)" in text]
    if with_exception:
        return _end_of(with_exception[-1])
    return _end_of(causes[-1]) if causes else ""


def _errors(log: str) -> list[str]:
    """The entries of level ERROR and above, each with its further lines."""
    found: list[list[str]] = []
    wanted = False
    for line in log.splitlines():
        match = _LOG_LINE.match(line)
        if match:
            wanted = match["level"] in ("ERROR", "CRITICAL")
            if wanted:
                found.append([_CONTEXT.sub("", match["text"])])
        elif wanted:
            found[-1].append(line)
    return ["\n".join(lines).strip() for lines in found]


def _end_of(text: str) -> str:
    """The last exception of an entry, without the frames that are NVFlare's own."""
    last = text.rpartition("During handling of the above exception")[2]
    lines: list[str] = []
    skipping = False
    for line in last.splitlines():
        if line.startswith("  File "):
            skipping = _NVFLARE in line
        elif not line.startswith("    "):
            skipping = False
        if line.strip() and not skipping and set(line.strip()) - set("^~"):
            lines.append(line)
    return "\n".join(lines[-SHOWN_LINES:])
