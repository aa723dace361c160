"""Find out why a job failed: from the guard's reason, or the last exception of each site."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from deploy.session.session import COMPLETED, NEVER_STARTED, AdminSession, Job
from fl_app.guard.finding import reasons_in

LOG_TIMEOUT = 6.0
"""Seconds to wait for the error log of a failed site; a site sends it when its job process exits."""
MAX_LINES = 12
"""Lines of an exception."""

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
"""Errors that NVFlare logs when a job ends or is asked for its progress too early: never the cause."""
_FAILED_SITE = re.compile(r"Result from (?P<site>\S+) is bad|reported failure from (?P<other>[^\s:]+)")


@dataclass(frozen=True)
class SiteError:
    """The error of one site, of the server, or of the guard."""

    site: str
    text: str
    """The last exception in the log, or the last error."""


SERVER = "server"
GUARD = "the guard"


def explain(session: AdminSession, job: Job) -> tuple[SiteError, ...]:
    """Return the errors of a failed job: the guard's, or those of the sites, or the server's.

    The result is empty if no log contains an error. The call waits some seconds for the logs of sites.
    """
    if job.status == COMPLETED:
        return ()
    if job.status == NEVER_STARTED:
        return (SiteError(SERVER, job.waits_for),) if job.waits_for else ()
    server_log = session.server_log(job.id)
    if reasons := reasons_in(server_log):
        return (SiteError(GUARD, reasons[0]),)
    failed_sites = {match["site"] or match["other"] for match in _FAILED_SITE.finditer(server_log)}
    logs = _await_logs(session, job.id, failed_sites)
    errors = [SiteError(site, text) for site, log in sorted(logs.items()) if (text := last_error(log))]
    errors.sort(key=lambda error: error.site not in failed_sites)
    if not errors and (text := last_error(server_log)):
        errors.append(SiteError(SERVER, text))
    return tuple(errors)


def _await_logs(session: AdminSession, job_id: str, failed_sites: set[str]) -> dict[str, str]:
    deadline = time.monotonic() + LOG_TIMEOUT
    while True:
        logs = session.error_logs(job_id)
        if (logs and failed_sites <= logs.keys()) or time.monotonic() > deadline:
            return logs
        time.sleep(0.5)


def last_error(log: str) -> str:
    """Return the last exception in a log of NVFlare, or else its last error; empty if there is none.

    Errors that are only consequences of the end of a job are ignored.
    """
    causes = [
        text for text in _errors(log) if not any(mark in text.splitlines()[0] for mark in _CONSEQUENCES)
    ]
    exceptions = [text for text in causes if "Traceback (most recent call last)" in text]
    if exceptions:
        return _last_exception(exceptions[-1])
    return _last_exception(causes[-1]) if causes else ""


def _errors(log: str) -> list[str]:
    """Return the log entries of level ERROR and above, including their continuation lines."""
    found: list[list[str]] = []
    is_error = False
    for line in log.splitlines():
        match = _LOG_LINE.match(line)
        if match:
            is_error = match["level"] in ("ERROR", "CRITICAL")
            if is_error:
                found.append([_CONTEXT.sub("", match["text"])])
        elif is_error:
            found[-1].append(line)
    return ["\n".join(lines).strip() for lines in found]


def _last_exception(text: str) -> str:
    """Return the last exception of a log entry, without the frames of NVFlare."""
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
    return "\n".join(lines[-MAX_LINES:])
