"""Commands: jobs, abort, delete, console."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deploy.cli.admin_session import admin_session, find_kit
from deploy.cli.context import JsonOption, context_of, err, out, print_json
from deploy.cli.job_options import AdminKitOption, AdminOption, JobIdArgument, JobIdsArgument
from deploy.cli.job_tables import job_document, print_available, print_jobs
from deploy.errors import Failed, InputError

app = typer.Typer()


@app.command()
def jobs(
    ctx: typer.Context,
    available: Annotated[
        bool, typer.Option("--available", help="Describe the jobs that can be submitted.")
    ] = False,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the federation's jobs, or the jobs that can be submitted."""
    if available:
        print_available(as_json)
        return
    with admin_session(context_of(ctx), admin, admin_kit) as session:
        found = session.jobs()
    if as_json:
        print_json([job_document(job) for job in found])
        return
    print_jobs(found)


@app.command()
def abort(
    ctx: typer.Context,
    job_id: JobIdArgument,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
) -> None:
    """Abort a running or waiting job."""
    from deploy.session.job_ids import resolve_job

    with admin_session(context_of(ctx), admin, admin_kit) as session:
        job = session.job(resolve_job(session, job_id))
        if job.is_finished:
            raise Failed(f"the job {job.id} has already ended: {job.status}")
        session.abort(job.id)
    err.print(f"abort requested for {job.id}. Watch it: flarefleet watch {job.id}", markup=False)


@app.command()
def delete(
    ctx: typer.Context,
    job_ids: JobIdsArgument,
    *,
    is_confirmed: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
) -> None:
    """Delete jobs that have ended, with their models, metrics and logs on the server."""
    from deploy.session.job_ids import choose_job

    with admin_session(context_of(ctx), admin, admin_kit) as session:
        known = session.jobs()
        chosen = {job.id: job for job in [choose_job(known, given) for given in job_ids]}.values()
        if not is_confirmed:
            _confirm([f"{job.id}  {job.name}  {job.status}" for job in chosen])
        for job in chosen:
            session.delete(job.id)
            out.print(f"{job.id} ({job.name}) deleted", markup=False)


def _confirm(lines: list[str]) -> None:
    """Ask whether to delete.

    Raises:
        InputError: there is no terminal to ask.
    """
    if not sys.stdin.isatty():
        raise InputError("There is no terminal to ask whether to delete. Delete without a question: --yes")
    for line in lines:
        err.print(line, markup=False)
    typer.confirm("Delete them from the server? The results are lost.", abort=True, err=True)


@app.command()
def console(ctx: typer.Context, admin: AdminOption = None, admin_kit: AdminKitOption = None) -> None:
    """Open NVFlare's admin console. It also takes commands from a pipe."""
    from deploy.session.console import run_console

    raise typer.Exit(run_console(find_kit(context_of(ctx), admin, admin_kit)))
