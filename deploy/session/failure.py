"""Find out why a job ended: who aborted it, errors of sites, reasons of guard and server, or its logs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.session.job import FAILED_TO_RUN
from deploy.session.session import COMPLETED, NEVER_STARTED, AdminSession, Job
from fl_app.guard.finding import MARK, reasons_in
from fl_app.guard.site_error import site_errors_in
from fl_app.guard.tracebacks import has_exception, last_exception, without_context
from fl_app.survival.interventions import Kind

LOG_TIMEOUT = 6.0
"""Seconds to wait for the error log of a failed site; a site sends it when its job process exits."""

DEPLOY_ERRORS_TIMEOUT = 2.0
"""Seconds to wait for the answers of sites to the deployment of a job that could not run."""
_HINTS = {"BYOC not permitted": ": the site denies code in a job (`byoc` in its authorization.json)"}
"""Reason of a site -> explanation."""

_LOG_LINE = re.compile(
    r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d+ - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<text>.*)"
)
_CONSEQUENCES = (
    "Aborting current RUN", "asked to abort", "FL client execution exception", "Execute exception",
    "no waiter for req", "abort signal", "job aborted", "request to abort",
    "failed to send task result", "Error getting task: failed to download",
    "exception sending request: RuntimeError: failed to download", "download aborted after",
    "no attribute 'get_widget'", "received unknown aux message topic",
)  # fmt: skip
"""Errors that NVFlare logs when a job ends or is asked for its progress too early: never the cause."""
_PLACE = re.compile(r"(?P<site>[^,:]+)(?:, round (?P<round>\d+))?")
_FAILED_SITE = re.compile(
    r"Result from (?P<site>\S+) is bad"
    r"|(?:reported failure from|failure report from client) (?P<other>[^\s:]+)"
)
_FATAL = "Aborting current RUN due to FATAL_SYSTEM_ERROR received: "
_OWN_EXCEPTIONS = ("Exception in workflow ", "Error executing RUN: ", "FL server execution exception: ")
"""How NVFlare's log names an exception that ends the server's part of a job."""
_CAUSES = (Kind.RESTARTED, Kind.SILENT, Kind.REQUEUED, Kind.BELOW_QUORUM, Kind.WAITING)
"""Interventions that name what went wrong; the others tell that it is repaired."""


@dataclass(frozen=True)
class SiteError:
    """The error of one site, of the server, or of the guard."""

    site: str
    text: str
    """The last exception in the log, or the last error."""


SERVER = "server"
GUARD = "the guard"


def explain(session: AdminSession, job: Job) -> tuple[SiteError, ...]:
    """Return the errors of a failed job.

    They are: why sites refused it, or who aborted it, the errors that sites sent while it ran, the guard's
    reason, and the reason of the server itself. Without them, the call waits some seconds for the logs of
    sites, then reads the log of the server. If no log contains an error, the result is what
    survival last did for the job, or empty.
    """
    if job.status == COMPLETED:
        return ()
    if job.status == NEVER_STARTED:
        return (SiteError(SERVER, job.waits_for),) if job.waits_for else ()
    if job.status == FAILED_TO_RUN and (denied := _await_deploy_errors(session, job)):
        return tuple(SiteError(site, text + _HINTS.get(text, "")) for site, text in denied.items())
    server_log = session.server_log(job.id)
    errors = [SiteError(SERVER, f"aborted by {job.aborted_by}")] if job.aborted_by else []
    errors += _sent_errors(server_log)
    reason = "" if job.aborted_by else _server_reason(server_log)
    names_site = _FAILED_SITE.search(reason) or any(_names(reason, error.site) for error in errors)
    if reason and not names_site:
        errors.append(SiteError(SERVER, reason))
    if errors:
        return tuple(errors)
    failed_sites = {match["site"] or match["other"] for match in _FAILED_SITE.finditer(server_log)}
    logs = _await_logs(session, job.id, failed_sites)
    errors = [SiteError(site, text) for site, log in sorted(logs.items()) if (text := last_error(log))]
    errors.sort(key=lambda error: error.site not in failed_sites)
    if not errors and (text := reason or last_error(server_log)):
        errors.append(SiteError(SERVER, text))
    return tuple(errors or _interventions(job))


def _await_deploy_errors(session: AdminSession, job: Job) -> Mapping[str, str]:
    """Return why the job could not be sent to sites; NVFlare stores it after the job's status."""
    deadline = time.monotonic() + DEPLOY_ERRORS_TIMEOUT
    while not job.deploy_errors and time.monotonic() < deadline:
        time.sleep(0.1)
        job = session.job(job.id)
    return job.deploy_errors


def _interventions(job: Job) -> list[SiteError]:
    """Return the last intervention at each site that names what went wrong."""
    last = {one.site or SERVER: one.text for one in job.history if one.kind in _CAUSES}
    return [SiteError(site, text) for site, text in last.items()]


def _server_reason(server_log: str) -> str:
    """Return the first reason for which the server itself ended the job; empty if there is none.

    It is an exception, or the text of a panic. The guard's reason is not repeated.
    """
    entries = _errors(server_log)
    panic = next((text.removeprefix(_FATAL).strip() for text in entries if text.startswith(_FATAL)), "")
    if panic.startswith(MARK):
        return ""
    raised = next((index for index, text in enumerate(entries) if text.startswith(_OWN_EXCEPTIONS)), None)
    if raised is not None and (not panic or panic.startswith(_OWN_EXCEPTIONS)):
        # The traceback is in the same entry, or NVFlare logs it in the next one.
        texts = entries[raised : raised + 2]
        return next((last_exception(text) for text in texts if has_exception(text)), texts[0])
    return "" if panic.startswith("{") else panic  # of a site: NVFlare sends only an empty document


def _names(text: str, site: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(site)}(?![\w-])", text) is not None


def _sent_errors(server_log: str) -> tuple[SiteError, ...]:
    """Return the first error that each site sent, and the guard's reason unless it repeats one of them."""
    sent = list(site_errors_in(server_log))
    first = {error.site: error.text for error in reversed(sent)}
    errors = [SiteError(site, first[site]) for site in dict.fromkeys(error.site for error in sent)]
    rounds = {(error.site, number) for error in sent for number in ("", str(error.round or ""))}
    for reason in reasons_in(server_log)[:1]:
        place = _PLACE.match(reason)
        repeats = place is not None and (place["site"], place["round"] or "") in rounds
        if not repeats and not any(error.line in reason for error in sent):
            errors.append(SiteError(GUARD, reason))
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
        return last_exception(exceptions[-1])
    return last_exception(causes[-1]) if causes else ""


def _errors(log: str) -> list[str]:
    """Return the log entries of level ERROR and above, including their continuation lines."""
    found: list[list[str]] = []
    is_error = False
    for line in log.splitlines():
        match = _LOG_LINE.match(line)
        if match:
            is_error = match["level"] in ("ERROR", "CRITICAL")
            if is_error:
                found.append([without_context(match["text"])])
        elif is_error:
            found[-1].append(line)
    return ["\n".join(lines).strip() for lines in found]
