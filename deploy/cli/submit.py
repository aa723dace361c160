"""Commands: submit, export."""

from __future__ import annotations

from pathlib import Path
from shutil import move
from typing import Annotated

import typer

from deploy.cli.admin_session import admin_session, choose_kit
from deploy.cli.context import Context, JsonOption, context_of
from deploy.cli.job_options import (
    WITH_ARGUMENTS,
    AdminKitOption,
    AdminOption,
    GuardOption,
    JobArgument,
    SetOption,
    SiteOption,
    TimeoutOption,
)
from deploy.cli.next_command import next_command
from deploy.cli.output import err, out, print_json
from deploy.cli.watch import watch_until_end
from deploy.errors import InputError
from fl_app.temporary_folders import temporary_folder

app = typer.Typer()


@app.command(context_settings=WITH_ARGUMENTS)
def submit(
    ctx: typer.Context,
    job: JobArgument,
    *,
    settings: SetOption = None,
    site: SiteOption = None,
    guard: GuardOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job's id and exit.")] = False,
    fetch_to: Annotated[
        Path | None,
        typer.Option(
            "--fetch", metavar="FOLDER", help="New folder for the results, whether the job fails or not."
        ),
    ] = None,
    timeout: TimeoutOption = None,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a job and watch it until it ends. Exit code 0 if it completed."""
    from deploy.runtimes.choice import remembered
    from deploy.session.guard_levels import read_levels, write_levels
    from deploy.session.parameters import find_job, read_parameters
    from deploy.session.results import refuse_existing
    from deploy.session.submission import (
        choose_sites,
        export_process,
        extras_of_images,
        participants,
        refuse_components_not_allowed,
        refuse_missing_extras,
    )
    from deploy.session.submission import submit as submit_exported

    description = find_job(job)
    parameters = read_parameters(description, settings or (), ctx.args)
    levels = read_levels(guard or ())
    if fetch_to is not None:
        if detach:
            raise InputError("--fetch and --detach exclude each other: a running job has no results")
        refuse_existing(fetch_to)
        fetch_to = fetch_to.absolute()  # a session changes the working directory
    context = context_of(ctx)
    admin_kit = choose_kit(context, admin_kit)
    project = federation = None
    image_extras: tuple[str, ...] = ()
    if admin_kit is None:
        project = context.project()
        federation = tuple(one.name for one in project.sites)
        runtime = remembered(context.workspace(project))
        refuse_missing_extras(description, project, runtime)
        image_extras = extras_of_images(project, runtime)
    with (
        export_process(description, image_extras) as exporting,
        temporary_folder("flarefleet-job-") as folder,
        admin_session(context, admin, admin_kit) as session,
    ):
        registered = session.sites()
        has_quorum = getattr(parameters, "quorum", None) is not None
        needed = None if description.file and not site else federation
        job_sites = choose_sites(registered, needed, site or (), has_quorum)
        exported = exporting.export(parameters, job_sites, folder)
        if project is not None:
            refuse_components_not_allowed(exported, project)
        assert exported.folder is not None
        write_levels(exported.folder, levels)
        job_id = submit_exported(session, exported, registered)
        if detach:
            if as_json:
                print_json({"id": job_id})
            else:
                out.print(job_id, markup=False)
                err.print(f"Next: {next_command(ctx, 'watch', job_id)}")
            return
        count = len(participants(exported, registered)) if description.file else len(job_sites.names)
        err.print(f"{job_id} submitted to {count} site{'s' * (count != 1)}", markup=False)
        watch_until_end(ctx, session, job_id, timeout=timeout, as_json=as_json, fetch_to=fetch_to)


@app.command(context_settings=WITH_ARGUMENTS)
def export(
    ctx: typer.Context,
    job: JobArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder in which the job folder is created.")],
    *,
    settings: SetOption = None,
    site: SiteOption = None,
    admin_kit: AdminKitOption = None,
) -> None:
    """Export a job as an NVFlare job folder. With a kit and without --site, the server names the sites."""
    from deploy.session.parameters import find_job, read_parameters
    from deploy.session.submission import JobSites, export_process

    description = find_job(job)
    parameters = read_parameters(description, settings or (), ctx.args)
    names = tuple(site or ())
    if not names and not description.file:
        names = _sites_of_federation(context_of(ctx), admin_kit)
    with export_process(description) as exporting, temporary_folder("flarefleet-job-") as made:
        reply = exporting.export(parameters, JobSites(names, chosen=bool(site)), made)
        assert reply.folder is not None
        target = folder.absolute() / reply.folder.name
        if target.exists():
            raise InputError(f"{target}: already exists; choose another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        move(reply.folder, target)
    out.print(str(target), markup=False)


def _sites_of_federation(context: Context, admin_kit: Path | None) -> tuple[str, ...]:
    """Return the sites of project.yml; with a kit, those that are registered with the server.

    Raises:
        InputError: there is neither a project.yml nor a kit, or no site is registered.
    """
    try:
        kit = choose_kit(context, admin_kit)
    except InputError:
        raise InputError(
            "Name the sites of the job: --site NAME; or your kit, to ask its server: --admin-kit"
        ) from None
    if kit is None:
        return tuple(one.name for one in context.project().sites)
    with admin_session(context, None, kit) as session:
        names = session.sites()
    if not names:
        raise InputError("No site is registered with the server. Name the sites of the job: --site NAME")
    return names
