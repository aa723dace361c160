"""Arguments and options that the commands for jobs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import completion
from deploy.cli.admin_session import ENV_ADMIN_KIT

WITH_ARGUMENTS = {"allow_extra_args": True}
"""Settings of a command whose job may be a script with arguments, `context.args`."""

JobArgument = Annotated[
    str,
    typer.Argument(
        autocompletion=completion.jobs,
        help="Name of a job (see jobs --available), or path of your own: a folder with a job.py, a script of "
        "NVFlare (its arguments follow two hyphens: -- --rounds 5), an exported job or a zip archive of one.",
    ),
]
JobIdArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        autocompletion=completion.job_ids,
        help="Id of the job, the beginning of its id, or latest.",
    ),
]
AdminKitOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help=f"Startup kit or release folder of an administrator (default: {ENV_ADMIN_KIT}, or the kits of "
        "project.yml).",
    ),
]
AdminOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=completion.administrators,
        help="Act as this administrator (default: the first one allowed to submit jobs).",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        autocompletion=completion.parameters,
        help="Parameter of the job. See jobs --available.",
    ),
]
SiteOption = Annotated[
    list[str] | None,
    typer.Option(
        "--site",
        metavar="NAME",
        autocompletion=completion.sites,
        help="Site that takes part; repeatable (default: all sites).",
    ),
]
GuardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--guard",
        metavar="RULE=error|warn|off",
        autocompletion=completion.guard_levels,
        help="Level of a rule of the guard; repeatable.",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="Time until watching ends; the job continues."),
]
