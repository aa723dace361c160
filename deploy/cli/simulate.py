"""Command: simulate."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Annotated, Any

import typer

from deploy.cli.context import JsonOption, err, out, print_json
from deploy.cli.job_options import JobArgument, SetOption

app = typer.Typer()

_MAX_CHARACTERS = 2000
"""Maximum length of a printed result."""


@app.command()
def simulate(
    job: JobArgument,
    *,
    settings: SetOption = None,
    sites: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Number of sites.")] = 2,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Time until the simulation is terminated.")
    ] = 600,
    fetch_to: Annotated[
        Path | None,
        typer.Option("--fetch", metavar="FOLDER", help="New folder for the results: model, metrics, logs."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job in NVFlare's simulator on this machine. Exit code 0 if it completed."""
    from deploy.session.parameters import find_job, read_parameters
    from deploy.session.results import refuse_existing
    from deploy.session.submission import JobSites, export_process
    from deploy.simulation import collect_results
    from deploy.simulation import simulate as run_simulation

    description = find_job(job)
    parameters = read_parameters(description, settings or ())
    if fetch_to is not None:
        refuse_existing(fetch_to)
    names = tuple(f"site-{number + 1}" for number in range(sites))
    started = time.monotonic()
    with TemporaryDirectory(prefix="flarefleet-job-") as made, export_process(description) as exporting:
        exported = exporting.export(parameters, JobSites(names, chosen=False), Path(made))
        assert exported.folder is not None
        work = Path(mkdtemp(prefix="flarefleet-simulation-"))
        run_simulation(exported.folder, names, work, timeout, lambda line: err.print(line, markup=False))
    seconds = time.monotonic() - started
    with TemporaryDirectory(prefix="flarefleet-results-") as temporary:
        folder = fetch_to.absolute() if fetch_to is not None else Path(temporary)
        collect_results(work, names, folder)
        _show(description.name, sites, seconds, folder, kept=fetch_to is not None, as_json=as_json)
    shutil.rmtree(work, ignore_errors=True)


def _show(name: str, sites: int, seconds: float, folder: Path, *, kept: bool, as_json: bool) -> None:
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    results = {
        str(file): _read(folder / file)
        for file in files
        if file.parts[0] == "metrics" and file.suffix == ".json"
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
