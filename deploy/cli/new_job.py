"""Command: new-job."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.output import err, out

app = typer.Typer()


class Framework(str, Enum):
    """The framework of a job's model."""

    PYTORCH = "pytorch"
    NUMPY = "numpy"
    SKLEARN = "sklearn"
    HUGGINGFACE = "huggingface"


@app.command("new-job")
def new_job(
    name: Annotated[str, typer.Argument(help="Name of the job, such as my-job.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Parent of the job's folder.")] = Path(),
    framework: Annotated[Framework, typer.Option(help="Framework of the model.")] = Framework.PYTORCH,
) -> None:
    """Create a job folder of your own, with a runnable example and a test."""
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
    """Return the path with a slash, so that it is not taken for the name of a job."""
    return str(path) if "/" in str(path) else f"./{path}"
