"""Command: fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.admin_session import admin_session
from deploy.cli.context import JsonOption, context_of
from deploy.cli.job_options import AdminKitOption, AdminOption, JobIdArgument
from deploy.cli.job_tables import job_document
from deploy.cli.next_command import next_command
from deploy.cli.output import out, print_json
from deploy.errors import InputError

app = typer.Typer()


@app.command()
def fetch(
    ctx: typer.Context,
    job_id: JobIdArgument,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="New folder for the results (default: results/NAME-ID)."),
    ] = None,
    *,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download the results of a job that has ended: model, metrics, TensorBoard files, logs."""
    from deploy.session import results
    from deploy.session.job_ids import resolve_job

    here = Path.cwd()  # a session changes the working directory
    with admin_session(context_of(ctx), admin, admin_kit) as session:
        job = session.job(resolve_job(session, job_id))
        if folder is None:
            folder = results.default_folder(job)
            if (here / folder).is_dir() and any((here / folder).iterdir()):
                again = next_command(ctx, "fetch", job.id, "FOLDER")
                raise InputError(f"{folder}: the job is already fetched. For another copy: {again}")
        target = here / folder
        results.fetch(session, job.id, target)
    files = sorted(file for file in target.rglob("*") if file.is_file())
    if as_json:
        found = {"folder": target, "files": [file.relative_to(target) for file in files]}
        print_json({**job_document(job), **found})
        return
    out.print(
        f"{len(files)} files in {target}: {', '.join(sorted(path.name for path in target.iterdir()))}",
        markup=False,
    )
