"""The logs of a job: the server's, and those that sites send."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.session.requests import PermissionDenied
from deploy.session.session import ALL, SERVER, AdminSession

_MARK = 400
"""Characters of a log's end by which its continuation is found."""


@dataclass(frozen=True)
class JobLogs:
    """The logs of one job that the server has."""

    logs: dict[str, str]
    """Server or site -> its log, or the part that the site sent."""
    missing: tuple[str, ...]
    """Those whose log the server does not have."""


def read_logs(session: AdminSession, job_id: str, sites: tuple[str, ...] = ()) -> JobLogs:
    """Return the logs of a job.

    Args:
        session: the session of an administrator.
        job_id: the job.
        sites: the server or sites whose logs to return (default: all of the job).

    Raises:
        PermissionDenied: the administrator may not read the logs of this job.
    """
    try:
        found = session.logs(job_id, ALL)
    except PermissionDenied:
        found = {SERVER: session.server_log(job_id)}  # of the results, once the job has ended
    for site, log in session.error_logs(job_id).items():
        found.setdefault(site, log)
    wanted = sites or (SERVER, *(session.job(job_id).deployed_to or session.sites()), *found)
    logs = {site: found[site] for site in dict.fromkeys(wanted) if site in found}
    return JobLogs(logs, tuple(dict.fromkeys(site for site in wanted if site not in found)))


def continuation(before: str, now: str) -> str:
    """Return what a log has gained; the server returns only its end if it is long."""
    if now.startswith(before):
        return now[len(before) :]
    _, found, gained = now.rpartition(before[-_MARK:])
    return gained if found else now
