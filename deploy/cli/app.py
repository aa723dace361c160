"""The program `flarefleet`: puts the verbs together and turns every error into a message and an exit code."""

from __future__ import annotations

import gc
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.context import Context, err
from deploy.cli.verbs import Verbs
from deploy.errors import FlarefleetError
from fl_app.contract import NVFLARE_VERSION, installed_nvflare, kit_version

OUR_FAULT = 70

app = typer.Typer(
    name="flarefleet",
    cls=Verbs,
    help="From one project.yml to a running NVIDIA FLARE federation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flarefleet {kit_version()} (NVFlare {installed_nvflare() or 'not installed'})")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    project: Annotated[
        Path, typer.Option(help="The file that describes the federation.", envvar="FLAREFLEET_PROJECT")
    ] = Path("project.yml"),
    workspace: Annotated[
        Path, typer.Option(help="Where everything made from it is kept.", envvar="FLAREFLEET_WORKSPACE")
    ] = Path("workspace"),
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Options before the verb; they hold for every verb."""
    found = installed_nvflare()
    if found != NVFLARE_VERSION:
        from deploy.errors import MachineError

        raise MachineError(
            f"NVFlare {found or 'is not installed; it'} is not supported: Flarefleet {kit_version()} "
            f"works with NVFlare {NVFLARE_VERSION} alone. Install it: pip install nvflare=={NVFLARE_VERSION}"
        )
    ctx.obj = Context(project_file=project, workspace_folder=workspace)


def _report_our_fault() -> Path:
    """Write the traceback of the exception in hand to a file of its own, readable by this user alone."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="flarefleet-", suffix=".traceback.txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"flarefleet {kit_version()} {' '.join(sys.argv[1:])}\n{traceback.format_exc()}")
    return Path(file.name)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong input, 3 the machine lacks something, 70 our
    fault.
    """
    # A verb makes much and throws little of it away: looking for garbage took a twentieth of adding a site.
    gc.set_threshold(100_000, 50, 50)
    try:
        app()
    except FlarefleetError as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # the last door: nobody may see a traceback for want of a handler
        err.print(
            f"This is a fault of Flarefleet, not yours. The traceback is in {_report_our_fault()}; "
            "please send it to us.",
            style="red",
            markup=False,
        )
        sys.exit(OUR_FAULT)


if __name__ == "__main__":
    main()
