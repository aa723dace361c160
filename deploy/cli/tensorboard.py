"""Command: tensorboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import completion
from deploy.cli.context import RuntimeOption, context_of, err, out
from deploy.errors import InputError
from fl_app.contract import ANALYTICS_FOLDER

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
            metavar="ID", autocompletion=completion.job_ids, help="Id of one job (default: all jobs)."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1024, max=65535, metavar="PORT", help="Port on this machine (default: 6006, or a free one)."
        ),
    ] = None,
    runtime: RuntimeOption = None,
) -> None:
    """Show the metrics of all sites in TensorBoard, live, until Ctrl-C."""
    from deploy.signals import interruptible
    from deploy.tensorboard.program import choose_port
    from deploy.tensorboard.program import tensorboard as run_tensorboard

    project, workspace, chosen = context_of(ctx).federation(runtime)
    chosen_port = choose_port(port)
    with _event_files(chosen, workspace) as event_files:
        folder = _folder_of(event_files, job_id)
        log = workspace.run(chosen.name) / "tensorboard.log"
        title = f"{project.name}: TensorBoard"
        with interruptible(), run_tensorboard(folder, chosen_port, title, log) as program:
            out.print(f"{program.command.url}/", markup=False)
            err.print(f"TensorBoard reads {folder}. Press Ctrl-C to stop it.", markup=False)
            try:
                program.wait()
            except KeyboardInterrupt:
                return


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
    if job_id is None:
        return event_files
    known = sorted(child.name for child in event_files.iterdir() if child.is_dir())
    if job_id not in known:
        raise InputError(
            f"{job_id}: this job has no event files. Jobs with event files: {', '.join(known) or 'none'}. "
            "The first values appear a second after the job logs them."
        )
    return event_files / job_id
