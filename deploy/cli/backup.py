"""Commands: backup, restore."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.context import JsonOption, context_of
from deploy.cli.output import out, print_json
from deploy.errors import InputError

if TYPE_CHECKING:
    from deploy.backup.state import BackupReport

app = typer.Typer()

MIN_PASSPHRASE = 12
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File whose first line is the passphrase, readable only by you (default: ask for it).",
    ),
]


@app.command()
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to write; outside of the workspace.")],
    passphrase_file: PassphraseOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the certificate authority and all private keys to an encrypted file, and verify it."""
    from deploy.backup.state import back_up

    context = context_of(ctx)
    project = context.project()
    passphrase = _passphrase(passphrase_file, is_new=True)
    report = back_up(project, context.workspace(project), file, passphrase, force=force)
    if as_json:
        print_json(vars(report))
        return
    out.print(f"{report.file}: {_content(report)}. It was read back and is complete.", markup=False)
    out.print("Keep it and its passphrase in different places: without the passphrase it is lost.")


@app.command()
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Backup that `flarefleet backup` wrote.")],
    passphrase_file: PassphraseOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing state; it is kept in a folder beside.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Restore the certificate authority and all private keys from a backup."""
    from deploy.backup.state import restore as restore_state

    context = context_of(ctx)
    project = context.project()
    workspace = context.workspace(project)
    report = restore_state(project, workspace, file, _passphrase(passphrase_file), force=force)
    if as_json:
        print_json(vars(report))
        return
    out.print(f"{workspace.state}: {_content(report)}, as of {report.created}.", markup=False)
    if report.replaced:
        out.print(
            f"The previous state is in {report.replaced}; delete it when you no longer need it.", markup=False
        )
    out.print("Next: flarefleet provision")


def _content(report: BackupReport) -> str:
    return (
        f"the authority of {report.project} (valid until {report.authority_expires}) and "
        f"{report.keys} private keys, in {report.files} files"
    )


def _passphrase(file: Path | None, *, is_new: bool = False) -> str:
    """Return the passphrase from a file or, in a terminal, from a prompt.

    Raises:
        InputError: there is neither, others may read the file, or a new passphrase is too short.
    """
    if file is not None:
        passphrase = _read(file)
    elif sys.stdin.isatty():
        passphrase = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    else:
        raise InputError("There is no terminal to ask for the passphrase. Use --passphrase-file FILE.")
    if is_new and len(passphrase) < MIN_PASSPHRASE:
        raise InputError(f"The passphrase is too short; use at least {MIN_PASSPHRASE} characters.")
    return passphrase


def _read(file: Path) -> str:
    from deploy.backup.encryption import read

    content = read(file)
    if file.is_file() and file.stat().st_mode & 0o077:
        raise InputError(f"{file}: other users may read it. Restrict it: chmod 600 {file}")
    try:
        first = (content.decode().splitlines() or [""])[0]
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text") from error
    if not first:
        raise InputError(f"{file}: its first line, the passphrase, is empty")
    return first
