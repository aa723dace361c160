"""Commands: jobs, submit, watch, fetch, abort, export, console."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.context import Context, JsonOption, context_of, err, out, print_json
from deploy.cli.job_tables import job_document, print_available, print_jobs
from deploy.errors import Failed, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.session import AdminKit, AdminSession, Job
    from deploy.session.failure import SiteError

app = typer.Typer()

JobArgument = Annotated[
    str, typer.Argument(help="Name of the job (see jobs --available), or folder of your own job: ./my-job.")
]
JobIdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")]
AdminKitOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Startup kit of an administrator, if there is no project.yml."),
]
AdminOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Act as this administrator (default: the first one allowed to submit jobs)."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Parameter of the job. See jobs --available."),
]
SiteOption = Annotated[
    list[str] | None,
    typer.Option("--site", metavar="NAME", help="Site that takes part; repeatable (default: all sites)."),
]
GuardOption = Annotated[
    list[str] | None,
    typer.Option("--guard", metavar="RULE=error|warn|off", help="Level of a rule of the guard; repeatable."),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="Time until watching ends; the job continues."),
]


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
    with _session(context_of(ctx), admin, admin_kit) as session:
        found = session.jobs()
    if as_json:
        print_json([job_document(job) for job in found])
        return
    print_jobs(found)


@app.command()
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
        refuse_components_not_allowed,
        refuse_missing_extras,
    )
    from deploy.session.submission import submit as submit_exported

    description = find_job(job)
    parameters = read_parameters(description, settings or ())
    levels = read_levels(guard or ())
    if fetch_to is not None:
        if detach:
            raise InputError("--fetch and --detach exclude each other: a running job has no results")
        refuse_existing(fetch_to)
        fetch_to = fetch_to.absolute()  # a session changes the working directory
    context = context_of(ctx)
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
        TemporaryDirectory(prefix="flarefleet-job-") as folder,
        _session(context, admin, admin_kit) as session,
    ):
        registered = session.sites()
        has_quorum = getattr(parameters, "quorum", None) is not None
        job_sites = choose_sites(registered, federation, site or (), has_quorum)
        exported = exporting.export(parameters, job_sites, Path(folder))
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
            return
        count = len(job_sites.names)
        err.print(f"{job_id} submitted to {count} site{'s' * (count != 1)}", markup=False)
        _watch(session, job_id, timeout, as_json, fetch_to)


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
    with _session(context_of(ctx), admin, admin_kit) as session:
        _watch(session, job_id, timeout, as_json)


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
    with _session(context_of(ctx), admin, admin_kit) as session:
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
    with _session(context_of(ctx), admin, admin_kit) as session:
        job = session.job(job_id)
        if job.is_finished:
            raise Failed(f"the job {job_id} has already ended: {job.status}")
        session.abort(job_id)
    err.print(f"abort requested for {job_id}. Watch it: flarefleet watch {job_id}", markup=False)


@app.command()
def export(
    ctx: typer.Context,
    job: JobArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder in which the job folder is created.")],
    settings: SetOption = None,
    site: SiteOption = None,
) -> None:
    """Export a job as an NVFlare job folder, without a federation."""
    from deploy.session.parameters import find_job, read_parameters
    from deploy.session.submission import JobSites, export_process

    description = find_job(job)
    parameters = read_parameters(description, settings or ())
    names = tuple(site) if site else tuple(one.name for one in context_of(ctx).project().sites)
    target = folder.absolute() / description.name
    if target.exists():
        raise InputError(f"{target}: already exists; choose another folder")
    with export_process(description) as exporting:
        reply = exporting.export(parameters, JobSites(names, chosen=bool(site)), folder.absolute())
    out.print(str(reply.folder), markup=False)


@app.command()
def console(ctx: typer.Context, admin: AdminOption = None, admin_kit: AdminKitOption = None) -> None:
    """Open NVFlare's admin console. It also reads commands from a pipe."""
    from deploy.session.console import run_console

    raise typer.Exit(run_console(_kit(context_of(ctx), admin, admin_kit)))


def _kit(context: Context, admin: str | None, admin_kit: Path | None) -> AdminKit:
    """Return the given startup kit, or one of the running federation."""
    from deploy.session import AdminKit

    if admin_kit is not None:
        if admin is not None:
            raise InputError("--admin and --admin-kit exclude each other: a kit belongs to one administrator")
        return AdminKit.read(admin_kit)
    from deploy.session.administrators import choose_administrator

    project, workspace, runtime = context.federation()
    return AdminKit.read(runtime.admin_kit(choose_administrator(project, workspace, admin)))


@contextmanager
def _session(context: Context, admin: str | None, admin_kit: Path | None) -> Iterator[AdminSession]:
    """Open a session. If the server fails, the message also says what its telemetry reports."""
    from deploy.session import open_session
    from deploy.session.requests import ServerFailed

    kit = _kit(context, admin, admin_kit)
    try:
        with open_session(kit) as session:
            yield session
    except ServerFailed as error:
        if admin_kit is None and (reason := _server_reason(context)):
            raise Failed(f"{error}\n{reason}") from error
        raise


def _server_reason(context: Context) -> str:
    """Return why the server of the federation on this machine is not ready; empty if it is."""
    _, _, runtime = context.federation()
    for site in runtime.status().sites:
        if site.role == "server" and site.reason:
            return f"{site.name}: {site.state.value}: {site.reason}"
    return ""


def _watch(
    session: AdminSession, job_id: str, timeout: float | None, as_json: bool, fetch_to: Path | None = None
) -> None:
    """Watch a job until it ends, then fetch its results.

    Raises:
        Failed: the job did not complete; the message contains the errors of the sites.
    """
    from deploy.session.display import job_display
    from deploy.session.failure import explain
    from deploy.session.results import fetch as fetch_results
    from deploy.session.session import COMPLETED
    from deploy.session.watching import SERVER_PATIENCE, watch

    session.wait_for_server(SERVER_PATIENCE, lambda text: err.print(text, markup=False))
    last = None
    try:
        with job_display(err) as show:
            for last in watch(session, job_id, timeout):
                show(last)
        assert last is not None
        errors = explain(session, last.job)
        if fetch_to is not None:
            fetch_results(session, job_id, fetch_to)
    except KeyboardInterrupt:
        err.print(f"The job continues. Watch it: flarefleet watch {job_id}", markup=False)
        raise
    if as_json:
        print_json({**job_document(last.job), "errors": {error.site: error.text for error in errors}})
    elif last.job.status == COMPLETED:
        out.print(job_id, markup=False)
    if last.job.status != COMPLETED:
        raise Failed(_failure_text(last.job, errors))


def _failure_text(job: Job, errors: tuple[SiteError, ...]) -> str:
    text = f"the job {job.id} ({job.name}) ended {job.status}"
    if not errors:
        return f"{text}; no log names an error. Download its logs: flarefleet fetch {job.id} DIR"
    lines = [text]
    for error in errors:
        first, *more = error.text.splitlines() or [""]
        lines += [f"{error.site}: {first}", *(f"  {line}" for line in more)]
    return "\n".join(lines)
