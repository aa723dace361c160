"""Command: simulate."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.context import JsonOption
from deploy.cli.job_options import WITH_ARGUMENTS, JobArgument, SetOption
from deploy.cli.output import err, out, print_json
from deploy.errors import InputError
from fl_app.telemetry.job_progress import PROGRESS_FILE, JobProgress
from fl_app.temporary_folders import keep, temporary_folder

if TYPE_CHECKING:
    from deploy.session.watching import Snapshot

app = typer.Typer()

_SHOWN = (PROGRESS_FILE, "metrics_summary.json")
"""Files whose content was shown before: of the telemetry and of NVFlare."""
_MAX_CHARACTERS = 2000
"""Maximum length of a printed result."""


@app.command(context_settings=WITH_ARGUMENTS)
def simulate(
    ctx: typer.Context,
    job: JobArgument,
    *,
    settings: SetOption = None,
    sites: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Number of sites.")] = 2,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Time until the simulation is terminated.")
    ] = 600,
    fetch_to: Annotated[
        Path | None,
        typer.Option(
            "--fetch",
            metavar="FOLDER",
            help="New folder for the results: model, metrics, TensorBoard files, logs.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job in NVFlare's simulator on this machine. Exit code 0 if it completed."""
    from deploy.session.display import job_display, print_summary
    from deploy.session.parameters import find_job, read_parameters
    from deploy.session.results import refuse_existing
    from deploy.session.session import COMPLETED, RUNNING
    from deploy.session.submission import JobSites, export_process
    from deploy.simulation import collect_results
    from deploy.simulation import simulate as run_simulation

    description = find_job(job)
    parameters = read_parameters(description, settings or (), ctx.args)
    if fetch_to is not None:
        refuse_existing(fetch_to)
        fetch_to = fetch_to.absolute()
    names = tuple(f"site-{number + 1}" for number in range(sites))
    started = time.monotonic()
    progress = JobProgress()
    with (
        temporary_folder("flarefleet-job-") as made,
        export_process(description) as exporting,
        temporary_folder("flarefleet-simulation-") as temporary,
    ):
        exported = exporting.export(parameters, JobSites(names, chosen=False), made)
        names = exported.sites or names
        if exported.min_clients > len(names):
            raise InputError(f"the job needs at least {exported.min_clients} sites; set --sites")
        assert exported.folder is not None
        name = exported.folder.name
        work, log = temporary / "workspace", temporary / "simulator.log"
        work.mkdir()
        err.print(f"{name} runs in NVFlare's simulator; its log: {log}")
        with _kept_after_failure(temporary):
            with job_display(err) as show:
                for progress in run_simulation(exported.folder, names, work, log, timeout):
                    show(_snapshot(name, RUNNING, progress))
                seconds = time.monotonic() - started
                ended = _snapshot(name, COMPLETED, progress, seconds)
                show(ended)
            print_summary(err, ended)
            folder = fetch_to or temporary / "results"
            collect_results(work, names, folder)
            _show(name, len(names), seconds, folder, kept=fetch_to is not None, as_json=as_json)
            if fetch_to is not None:
                shutil.move(log, folder / "logs")


@contextmanager
def _kept_after_failure(folder: Path) -> Iterator[None]:
    """Keep and name the folder with the files of a run that failed or was interrupted."""
    try:
        yield
    except BaseException:
        keep(folder)
        err.print(f"Its files are kept in {folder}", markup=False, soft_wrap=True)
        raise


def _snapshot(name: str, status: str, progress: JobProgress, seconds: float | None = None) -> Snapshot:
    """Return the simulated job in the form in which `submit` shows a job."""
    from deploy.session import Job
    from deploy.session.watching import Snapshot

    duration = "" if seconds is None else str(timedelta(seconds=seconds))
    return Snapshot(Job("", name, status, "", datetime.now(timezone.utc), duration, "", ""), progress)


def _show(name: str, sites: int, seconds: float, folder: Path, *, kept: bool, as_json: bool) -> None:
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    results = {
        str(file): _read(folder / file)
        for file in files
        if file.parts[0] == "metrics" and file.suffix == ".json" and file.name not in _SHOWN
    }
    if as_json:
        print_json({
            "job": name, "sites": sites, "seconds": round(seconds, 1), "results": results,
            "folder": folder if kept else None, "files": files if kept else [],
        })  # fmt: skip
        return
    out.print(f"{name} completed with {sites} site{'s' * (sites != 1)} in {seconds:.1f} s")
    for file, document in results.items():
        if document:
            out.print(f"{file}: {json.dumps(document)[:_MAX_CHARACTERS]}", markup=False)
    if kept:
        out.print(f"{len(files)} files in {folder}", markup=False)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return None
