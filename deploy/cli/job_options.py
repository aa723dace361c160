"""Arguments and options that the commands for jobs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
