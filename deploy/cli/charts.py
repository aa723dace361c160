"""Commands: charts push, save."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.context import JsonOption
from deploy.cli.output import out, print_json

app = typer.Typer()
charts = typer.Typer(no_args_is_help=True, help="Transport the Helm charts. This needs no project.yml.")
app.add_typer(charts, name="charts")


@charts.command()
def push(
    registry: Annotated[
        str, typer.Argument(help="OCI registry and path, for example registry.example.org/flare.")
    ],
    plain_http: Annotated[bool, typer.Option("--plain-http", help="Use HTTP instead of HTTPS.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Push the charts to an OCI registry, with helm and the login of `helm registry login`."""
    from deploy.charts.transport import push_charts

    pushed = push_charts(registry, plain_http=plain_http)
    if as_json:
        print_json(pushed)
        return
    for reference, digest in pushed.items():
        out.print(f"{reference}  {digest}", markup=False)


@charts.command()
def save(
    folder: Annotated[Path, typer.Argument(help="Folder to write, for example charts.", file_okay=False)],
    as_json: JsonOption = False,
) -> None:
    """Write the package of each chart and their checksums to a folder, for clusters without a registry."""
    from deploy.charts.transport import save_charts

    files = save_charts(folder)
    if as_json:
        print_json([str(file) for file in files])
        return
    for file in files:
        out.print(str(file), markup=False)
