"""Verb: tensorboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.context import context_of, err, out
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
        str | None, typer.Argument(metavar="[ID]", help="One job alone; else all of them.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="On this machine; else 6006, or a free one.")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option("--runtime", "-r", help="Where the federation runs; else where it was started."),
    ] = None,
) -> None:
    """Open TensorBoard on what every site logs, while jobs run and after. Ctrl-C ends it."""
    from deploy.runtimes.choice import current_runtime, open_runtime
    from deploy.tensorboard.program import choose_port
    from deploy.tensorboard.program import tensorboard as serving

    context = context_of(ctx)
    project = context.project()
    workspace = context.workspace(project)
    chosen = open_runtime(runtime, project, workspace) if runtime else current_runtime(project, workspace)
    at = choose_port(port)
    with _event_files(chosen, workspace) as folder:
        shown = _of_job(folder, job_id)
        with serving(shown, at, f"{project.name}: TensorBoard") as program:
            out.print(f"http://127.0.0.1:{at}/", markup=False)
            err.print(f"TensorBoard reads {shown}; Ctrl-C ends it.", markup=False)
            try:
                program.wait()
            except KeyboardInterrupt:
                return


@contextmanager
def _event_files(runtime: Runtime, workspace: Workspace) -> Iterator[Path]:
    """The event files themselves where this machine has them, else a folder that follows them."""
    from deploy.tensorboard.mirror import Follower

    copy = workspace.run(runtime.name) / ANALYTICS_FOLDER
    found = runtime.analytics()
    if found is not None and found != copy:
        yield found
        return
    mirror = workspace.run(runtime.name) / "tensorboard"
    with Follower(runtime.analytics, mirror, lambda text: err.print(text, markup=False)):
        yield mirror


def _of_job(folder: Path, job_id: str | None) -> Path:
    if job_id is None:
        return folder
    if not (folder / job_id).is_dir() or "/" in job_id:
        logged = sorted(child.name for child in folder.iterdir() if child.is_dir())
        raise InputError(
            f"{job_id}: no such job has logged anything; there are: {', '.join(logged) or 'none'}. "
            "A job's first values are there a second after it logs them."
        )
    return folder / job_id
