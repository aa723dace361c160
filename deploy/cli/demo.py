"""Command: demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.context import DEFAULT_PROJECT, JsonOption, context_of
from deploy.cli.output import err, out

app = typer.Typer()


@app.command()
def demo(
    ctx: typer.Context,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Parameter of the job hospital. See jobs --available."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1024,
            max=65535,
            metavar="PORT",
            help="Port of the server (default: project.yml's, or a free one).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a federation of hospitals on this machine, from project.yml to a report, and stop it.

    Without a project.yml in this folder it runs the one that is included in Flarefleet.
    """
    from deploy.checkout import DEMO_PROJECT
    from deploy.demo.scenario import run_demo
    from deploy.demo.terminal import print_report

    context = context_of(ctx)
    project_file = context.project_file
    if project_file == DEFAULT_PROJECT and not project_file.exists():
        project_file = DEMO_PROJECT
    report = run_demo(project_file, context.workspace_folder, settings or (), port, err)
    if as_json:
        typer.echo(Path(report.files.folder, "report.json").read_text(encoding="utf-8"), nl=False)
        return
    print_report(report, out)
