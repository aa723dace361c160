"""Command: watch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deploy.cli.admin_session import admin_session
from deploy.cli.context import JsonOption, context_of
from deploy.cli.job_options import AdminKitOption, AdminOption, JobIdArgument, TimeoutOption
from deploy.cli.job_tables import job_document
from deploy.cli.next_command import next_command
from deploy.cli.output import err, out, print_json
from deploy.errors import Failed

if TYPE_CHECKING:
    from deploy.session import AdminSession, Job
    from deploy.session.failure import SiteError

app = typer.Typer()


@app.command()
def watch(
    ctx: typer.Context,
    job_id: JobIdArgument,
    *,
    timeout: TimeoutOption = None,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch a job until it ends. Exit code 0 if it completed."""
    from deploy.session.job_ids import resolve_job

    with admin_session(context_of(ctx), admin, admin_kit) as session:
        job_id = resolve_job(session, job_id)
        watch_until_end(ctx, session, job_id, timeout=timeout, as_json=as_json)


def watch_until_end(
    ctx: typer.Context,
    session: AdminSession,
    job_id: str,
    *,
    timeout: float | None,
    as_json: bool,
    fetch_to: Path | None = None,
) -> None:
    """Watch a job until it ends, then fetch its results, or name the command that does.

    Raises:
        Failed: the job did not complete; the message contains the errors of the sites.
    """
    from deploy.session.display import job_display, print_summary
    from deploy.session.failure import explain
    from deploy.session.results import fetch as fetch_results
    from deploy.session.session import COMPLETED
    from deploy.session.watching import SERVER_PATIENCE, watch

    session.wait_for_server(SERVER_PATIENCE, lambda text: err.print(text, markup=False))
    last = None
    again = next_command(ctx, "watch", job_id)
    try:
        with job_display(err) as show:
            for last in watch(session, job_id, timeout, again=again):
                show(last)
        assert last is not None
        errors = explain(session, last.job)
        if fetch_to is not None:
            fetch_results(session, job_id, fetch_to)
    except KeyboardInterrupt:
        err.print(f"The job continues. Watch it: {again}")
        raise
    if as_json:
        print_json({**job_document(last.job), "errors": {error.site: error.text for error in errors}})
    elif last.job.status == COMPLETED:
        out.print(job_id)
    if last.job.status != COMPLETED:
        raise Failed(_failure_text(last.job, errors, next_command(ctx, "fetch", job_id)))
    print_summary(err, last)
    if fetch_to is None:
        err.print(f"Next: {next_command(ctx, 'fetch', job_id)}")
    else:
        err.print(f"results: {fetch_to}")


def _failure_text(job: Job, errors: tuple[SiteError, ...], fetch: str) -> str:
    text = f"the job {job.id} ({job.name}) ended {job.status}"
    if not errors:
        return f"{text}; no log names an error. Download its logs: {fetch}"
    lines = [text]
    for error in errors:
        first, *more = error.text.splitlines() or [""]
        lines += [f"{error.site}: {first}", *(f"  {line}" for line in more)]
    return "\n".join(lines)
