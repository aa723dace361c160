"""Verb: new-job."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.context import err, out

app = typer.Typer()


class Framework(str, Enum):
    """What a job's model is made with."""

    PYTORCH = "pytorch"
    NUMPY = "numpy"


@app.command("new-job")
def new_job(
    name: Annotated[str, typer.Argument(help="Of the job, such as my-job.")],
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where its folder is made.")] = Path(),
    framework: Annotated[Framework, typer.Option(help="What its model is made with.")] = Framework.PYTORCH,
) -> None:
    """Write a job folder of your own that runs as it is and passes its own test."""
    from deploy.new_job import write_job

    written = write_job(name, framework.value, folder)
    shown = folder / name
    path = shown if shown.is_absolute() else Path(".", shown)
    err.print(
        f"Next: flarefleet simulate {_typed(path)}; pytest {path}; flarefleet submit {_typed(path)}",
        markup=False,
    )
    out.print(str(written), markup=False)


def _typed(path: Path) -> str:
    """The path as a job is named by it: never without a slash."""
    return str(path) if "/" in str(path) else f"./{path}"
