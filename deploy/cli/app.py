"""The program `flarefleet`: combines the commands and turns errors into messages and exit codes."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.commands import LazyCommands
from deploy.cli.completion import join_words
from deploy.cli.context import DEFAULT_PROJECT, Context, is_given
from deploy.errors import FlarefleetError, MachineError
from fl_app.contract import NVFLARE_VERSION, flarefleet_version, installed_version

INTERNAL_ERROR = 70

app = typer.Typer(
    name="flarefleet",
    cls=LazyCommands,
    help="From one project.yml to a running NVIDIA FLARE federation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(
            f"flarefleet {flarefleet_version()} (NVFlare {installed_version('nvflare') or 'not installed'})"
        )
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    project: Annotated[
        Path,
        typer.Option(metavar="FILE", help="File that describes the federation.", envvar="FLAREFLEET_PROJECT"),
    ] = DEFAULT_PROJECT,
    workspace: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder for all generated files.", envvar="FLAREFLEET_WORKSPACE"),
    ] = Path("workspace"),
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Store the options that every command accepts, before or after its name."""
    found = installed_version("nvflare")
    if found != NVFLARE_VERSION:
        raise MachineError(
            f"NVFlare {found or 'is not installed; it'} is not supported: Flarefleet {flarefleet_version()} "
            f"works only with NVFlare {NVFLARE_VERSION}. Install it: pip install nvflare=={NVFLARE_VERSION}"
        )
    ctx.obj = Context(project, workspace, is_given(ctx, "project"))


def _print_error(text: str) -> None:
    from deploy.cli.output import err

    err.print(text, style="red")


def _write_traceback() -> Path:
    """Write the traceback of the current exception to a file that only this user may read."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="flarefleet-", suffix=".traceback.txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"flarefleet {flarefleet_version()} {' '.join(sys.argv[1:])}\n{traceback.format_exc()}")
    return Path(file.name)


def main() -> None:
    """Run the command line and exit.

    Exit codes: 0 done; 1 failed; 2 wrong input; 3 the machine lacks something; 70 internal error.
    """
    # Raise the garbage collector's threshold: a command keeps most of its objects.
    gc.set_threshold(100_000, 50, 50)
    join_words()
    try:
        app()
    except FlarefleetError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # a fault of Flarefleet: its traceback goes into a file, not to the user
        _print_error(
            f"Internal error of Flarefleet. The traceback is in {_write_traceback()}; please report it."
        )
        sys.exit(INTERNAL_ERROR)
    finally:
        # If code in a string was interrupted, such as what `dataclasses` generates during an import, Python
        # would end `python -m` by SIGINT, whatever the exit code. The next code in a string clears that.
        exec("")  # noqa: S102 - it is empty


if __name__ == "__main__":
    main()
