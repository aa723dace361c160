"""Commands: jobs, abort, delete, console."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deploy.cli import completion
from deploy.cli.admin_session import admin_session, find_kit
from deploy.cli.context import JsonOption, context_of
from deploy.cli.job_options import AdminKitOption, AdminOption, JobIdArgument
from deploy.cli.job_tables import job_document, print_available, print_jobs
from deploy.cli.output import err, out, print_json
from deploy.errors import Failed, InputError

app = typer.Typer()


@app.command()
def jobs(
    ctx: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(
            autocompletion=completion.jobs,
            help="With --available: describe this job, a name or a path, alone.",
        ),
    ] = None,
    *,
    available: Annotated[
        bool, typer.Option("--available", help="Describe the jobs that can be submitted.")
    ] = False,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the federation's jobs, or the jobs that can be submitted."""
    if available:
        print_available(job, as_json)
        return
    if job is not None:
        raise InputError(f"{job}: the parameters of a job: `flarefleet jobs --available {job}`")
    with admin_session(context_of(ctx), admin, admin_kit) as session:
        found = session.with_progress(session.jobs())
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
    job_id: JobIdArgument,
    *,
    is_confirmed: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
) -> None:
    """Delete a job that has ended, with its model, metrics and logs on the server."""
    from deploy.session.job_ids import resolve_job

    with admin_session(context_of(ctx), admin, admin_kit) as session:
        job = session.job(resolve_job(session, job_id))
        if not is_confirmed:
            _confirm(f"{job.id} ({job.name}, {job.status})")
        session.delete(job.id)
    out.print(f"{job.id} ({job.name}) deleted", markup=False)


def _confirm(job: str) -> None:
    """Ask whether to delete a job.

    Raises:
        InputError: there is no terminal to ask.
    """
    if not sys.stdin.isatty():
        raise InputError("There is no terminal to ask whether to delete. Delete without a question: --yes")
    typer.confirm(f"Delete {job} from the server? Its results are lost.", abort=True, err=True)


@app.command()
def console(ctx: typer.Context, admin: AdminOption = None, admin_kit: AdminKitOption = None) -> None:
    """Open NVFlare's admin console. It also takes commands from a pipe."""
    from deploy.session.console import run_console

    raise typer.Exit(run_console(find_kit(context_of(ctx), admin, admin_kit)))
