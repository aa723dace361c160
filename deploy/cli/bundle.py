"""Command: bundle."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.context import DEFAULT_PROJECT, JsonOption, context_of
from deploy.cli.output import err, out, print_json
from deploy.errors import InputError

app = typer.Typer()


@app.command()
def bundle(
    ctx: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Archive to write (default: named by the time)."),
    ] = None,
    release: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Bundle of one site, from its release folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a support archive: versions, states, logs, jobs and checks, without any secret."""
    from deploy.bundle.federation import collect_federation
    from deploy.bundle.site import collect_site
    from deploy.doctor.handed_out import is_release
    from deploy.doctor.operator import Operator

    context = context_of(ctx)
    project = context.project_file
    if release is None and project == DEFAULT_PROJECT and not project.exists() and is_release(Path()):
        release = Path()  # a site that runs it in its release folder
    now = datetime.now(timezone.utc)
    file = output or Path(f"flarefleet-bundle-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    if file.exists():
        raise InputError(f"{file} exists. Choose another name: --output FILE")
    if release is not None:
        made = collect_site(release)
    else:
        made = collect_federation(Operator(project, context.workspace_folder.absolute()))
    made.write(file, now.isoformat(timespec="seconds"))
    sizes = {name: len(text.encode()) for name, text in made.files.items()}
    if as_json:
        print_json({"file": file, "files": sizes, "problems": made.problems})
        return
    for name, size in sizes.items():
        out.print(f"  {size:>9} bytes  {name}", markup=False)
    for problem in made.problems:
        err.print(f"not included: {problem}", markup=False, style="yellow")
    out.print(f"{file}: {len(sizes)} files. Secrets are redacted; read it before you send it.", markup=False)
