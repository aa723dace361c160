"""Command: tensorboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import completion
from deploy.cli.admin_session import admin_session, choose_kit
from deploy.cli.context import Context, RuntimeOption, context_of
from deploy.cli.job_options import AdminKitOption
from deploy.cli.output import err, out
from deploy.errors import InputError
from fl_app.contract import ANALYTICS_FOLDER
from fl_app.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from deploy.runtimes.protocol import Runtime
    from deploy.workspace import Workspace

app = typer.Typer()


@app.command()
def tensorboard(
    ctx: typer.Context,
    job_id: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            autocompletion=completion.job_ids,
            help="Id of one job, the beginning of its id, or latest (default: all jobs).",
        ),
    ] = None,
    *,
    port: Annotated[
        int | None,
        typer.Option(
            min=1024, max=65535, metavar="PORT", help="Port on this machine (default: 6006, or a free one)."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Only check and print the address of a TensorBoard of the server.",
        ),
    ] = None,
    runtime: RuntimeOption = None,
    admin_kit: AdminKitOption = None,
) -> None:
    """Show the metrics of all sites in TensorBoard, live, until Ctrl-C."""
    from deploy.tensorboard.program import choose_port
    from deploy.tensorboard.remote import check_tensorboard

    if url is not None:
        if job_id or port or runtime or admin_kit:
            raise InputError("--url shows all jobs of the server, and excludes JOB and the other options")
        out.print(check_tensorboard(url), markup=False)
        return
    context = context_of(ctx)
    kit = choose_kit(context, admin_kit) if runtime is None else None
    chosen_port = choose_port(port)
    if kit is not None:
        with _downloaded(context, kit, job_id) as (folder, server):
            _show(folder, chosen_port, f"{server}: TensorBoard", folder.with_name("tensorboard.log"))
        return
    project, workspace, chosen = context.federation(runtime)
    with _event_files(chosen, workspace) as event_files:
        folder = _folder_of(event_files, job_id)
        log = workspace.run(chosen.name) / "tensorboard.log"
        _show(folder, chosen_port, f"{project.name}: TensorBoard", log)


def _show(folder: Path, port: int, title: str, log: Path) -> None:
    """Run TensorBoard on a folder until Ctrl-C."""
    from deploy.signals import interruptible
    from deploy.tensorboard.program import tensorboard as run_tensorboard

    with interruptible(), run_tensorboard(folder, port, title, log) as program:
        out.print(f"{program.command.url}/", markup=False)
        err.print(f"TensorBoard reads {folder}. Press Ctrl-C to stop it.", markup=False)
        try:
            program.wait()
        except KeyboardInterrupt:
            return


@contextmanager
def _downloaded(context: Context, kit: Path, job_id: str | None) -> Iterator[tuple[Path, str]]:
    """Return a folder of event files that an administrator's session keeps up to date, and the server."""
    from deploy.session.event_files import LATEST_JOBS, EventFileDownload
    from deploy.session.job_ids import resolve_job
    from deploy.tensorboard.mirror import mirrored

    with (
        temporary_folder("flarefleet-tensorboard-") as temporary,
        admin_session(context, None, kit) as session,
    ):
        downloads, folder = temporary / "downloads", temporary / "event-files"
        jobs = [resolve_job(session, job_id)] if job_id else []
        download = EventFileDownload(session, downloads, jobs)
        if not jobs:
            err.print(f"The latest {LATEST_JOBS} jobs; name one to see it alone.")
        with mirrored(download.update, folder, lambda text: err.print(text, markup=False)):
            yield folder, session.kit.address


@contextmanager
def _event_files(runtime: Runtime, workspace: Workspace) -> Iterator[Path]:
    """Return the folder of event files if it is on this machine, otherwise a mirror of it."""
    from deploy.tensorboard.mirror import mirrored

    copy = workspace.run(runtime.name) / ANALYTICS_FOLDER
    found = runtime.analytics()
    if found is not None and found != copy:
        yield found
        return
    folder = workspace.run(runtime.name) / "tensorboard"
    with mirrored(runtime.analytics, folder, lambda text: err.print(text, markup=False)):
        yield folder


def _folder_of(event_files: Path, job_id: str | None) -> Path:
    from deploy.session.job_ids import LATEST

    if job_id is None:
        return event_files
    known = sorted(child.name for child in event_files.iterdir() if child.is_dir())
    found = [name for name in known if job_id and name.startswith(job_id.lower())]
    if job_id == LATEST and known:
        found = [max(known, key=lambda name: (event_files / name).stat().st_mtime)]
    if len(found) != 1:
        what = "several jobs have" if found else "no job has"
        raise InputError(
            f"{job_id}: {what} such an id and event files. Jobs with event files: "
            f"{', '.join(known) or 'none'}. The first values appear a second after the job logs them."
        )
    return event_files / found[0]
