"""Commands: jobs, fetch, abort, console."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.admin_session import admin_session, find_kit
from deploy.cli.context import JsonOption, context_of, err, out, print_json
from deploy.cli.job_options import AdminKitOption, AdminOption, JobIdArgument
from deploy.cli.job_tables import job_document, print_available, print_jobs
from deploy.errors import Failed, InputError

app = typer.Typer()


@app.command()
def jobs(
    ctx: typer.Context,
    job: Annotated[
        str | None, typer.Argument(help="With --available: describe this job, a name or a path, alone.")
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
        raise InputError(f"{job}: write flarefleet jobs --available {job} for its parameters, or jobs alone")
    with admin_session(context_of(ctx), admin, admin_kit) as session:
        found = session.jobs()
    if as_json:
        print_json([job_document(job) for job in found])
        return
    print_jobs(found)


@app.command()
def fetch(
    ctx: typer.Context,
    job_id: JobIdArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the results.")],
    *,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download the results of a finished job: model, metrics, tb_events, logs."""
    from deploy.session import results

    target = folder.absolute()
    with admin_session(context_of(ctx), admin, admin_kit) as session:
        results.fetch(session, job_id, target)
    files = sorted(file for file in target.rglob("*") if file.is_file())
    if as_json:
        print_json({"id": job_id, "folder": target, "files": [file.relative_to(target) for file in files]})
        return
    out.print(
        f"{len(files)} files in {target}: {', '.join(sorted(path.name for path in target.iterdir()))}",
        markup=False,
    )


@app.command()
def abort(
    ctx: typer.Context,
    job_id: JobIdArgument,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
) -> None:
    """Abort a running or waiting job."""
    with admin_session(context_of(ctx), admin, admin_kit) as session:
        job = session.job(job_id)
        if job.is_finished:
            raise Failed(f"the job {job_id} has already ended: {job.status}")
        session.abort(job_id)
    err.print(f"abort requested for {job_id}. Watch it: flarefleet watch {job_id}", markup=False)


@app.command()
def console(ctx: typer.Context, admin: AdminOption = None, admin_kit: AdminKitOption = None) -> None:
    """Open NVFlare's admin console. It also reads commands from a pipe."""
    from deploy.session.console import run_console

    raise typer.Exit(run_console(find_kit(context_of(ctx), admin, admin_kit)))
