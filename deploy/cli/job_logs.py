"""Show the logs of a job, through an administrator's session."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deploy.cli.admin_session import admin_session
from deploy.cli.context import Context
from deploy.cli.output import err, print_json
from deploy.errors import Failed, InputError

if TYPE_CHECKING:
    from deploy.session import AdminSession

FOLLOW_SECONDS = 2.0
"""Seconds between two requests for the logs of a running job."""


def names_site(context: Context, name: str) -> bool:
    """Return whether this is the server or a site of project.yml, and not a job.

    Raises:
        InputError: it is neither.
    """
    from deploy.session.job_ids import is_job

    if context.project_file.exists() or context.names_project:
        project = context.project()
        if name in [parent.name for parent in project.parents]:
            return True
        if not is_job(name):
            project.parent(name)  # names those that there are
    elif not is_job(name):
        raise InputError(
            f"{name} is not the id of a job. The log of a server or a site is read where it runs; the logs "
            f"of a job: flarefleet logs JOB --site {name}"
        )
    return False


def show_job_logs(
    context: Context,
    job: str,
    sites: tuple[str, ...],
    *,
    follow: bool = False,
    tail: int | None = None,
    admin_kit: Path | None = None,
    as_json: bool = False,
) -> None:
    """Print the logs of a job that the server has: its own, and those that sites send.

    Args:
        context: the options before the command.
        job: an id, the beginning of one, or `latest`.
        sites: the server or sites whose logs to print (default: all).
        follow: print new lines until the job ends.
        tail: number of the last lines to print first (default: all).
        admin_kit: the kit to log in with.
        as_json: print one JSON document.

    Raises:
        Failed: the server has no log of a named site; the message says who can share it.
    """
    from deploy.session.job_ids import resolve_job
    from deploy.session.job_logs import read_logs

    with admin_session(context, None, admin_kit) as session:
        job_id = resolve_job(session, job)
        found = read_logs(session, job_id, sites)
        if as_json:
            print_json({"id": job_id, "logs": found.logs, "missing": found.missing})
            return
        if found.missing and sites:
            raise Failed(_not_shared(job_id, found.missing))
        for site, log in found.logs.items():
            _print(site, log if tail is None else _end(log, tail), len(found.logs) > 1)
        if found.missing:
            err.print(_not_shared(job_id, found.missing), markup=False)
        if follow:
            _follow(session, job_id, found.logs, sites)


def _follow(session: AdminSession, job_id: str, logs: dict[str, str], sites: tuple[str, ...]) -> None:
    from deploy.session.job_logs import continuation, read_logs

    is_finished = False
    try:
        while not is_finished:
            time.sleep(FOLLOW_SECONDS)
            is_finished = session.job(job_id).is_finished  # before the logs: they are then complete
            now = read_logs(session, job_id, sites).logs
            for site, log in now.items():
                if gained := continuation(logs.get(site, ""), log):
                    _print(site, gained, len(now) > 1)
            logs = logs | now
    except KeyboardInterrupt:
        return


def _end(log: str, lines: int) -> str:
    found = log.splitlines()
    return "\n".join(found[max(0, len(found) - lines) :])


def _print(site: str, log: str, with_heading: bool) -> None:
    if with_heading:
        typer.echo(f"==> {site} <==")
    typer.echo(log.rstrip("\n"))


def _not_shared(job_id: str, sites: tuple[str, ...]) -> str:
    return (
        f"The server has no log of {', '.join(sites)} for the job {job_id}: sites keep their logs unless the "
        "operator writes `logs: shared` under deployment in project.yml and updates the federation. "
        f"At a site, the log is {job_id}/log.txt in the workspace of the site"
    )
