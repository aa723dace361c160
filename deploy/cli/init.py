"""Commands: init, export-project."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from deploy.cli.context import context_of
from deploy.cli.output import err, out
from deploy.errors import InputError

app = typer.Typer()

_Value = TypeVar("_Value")


@app.command()
def init(
    ctx: typer.Context,
    *,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST[:PORT]", help="Host that every site can resolve, and port of the server."),
    ] = None,
    site: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Name of a site, such as hospital-1; repeatable.")
    ] = None,
    admin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EMAIL",
            help="Administrator; repeatable. The first may do everything, the others submit jobs.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the federation (default: the name of this folder).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New file (default: that of --project).")
    ] = None,
    nvflare: Annotated[
        bool, typer.Option("--nvflare", help="Write a file that `nvflare provision` can read, too.")
    ] = False,
) -> None:
    """Create a project.yml. In a terminal it asks for what the options do not say."""
    from deploy.project import creation

    file = output or context_of(ctx).project_file
    if file.exists():
        raise InputError(f"{file}: already exists; choose another file: --output FILE")
    given = {"--server": server, "--site": site, "--admin": admin}
    missing = [option for option, value in given.items() if not value]
    if missing and not sys.stdin.isatty():
        raise InputError(f"{', '.join(missing)}: missing, and there is no terminal to ask for it")
    _check(
        ("--server", creation.read_server, [server]),
        ("--name", creation.read_name, [name]),
        ("--site", creation.read_site, site or []),
        ("--admin", creation.read_admin, admin or []),
    )
    folder = file.absolute().parent.name
    host, port = _answer(server, creation.read_server, "Server, HOST[:PORT]", "localhost")
    answers = creation.Answers(
        name=_answer(
            name or (None if missing else _name_of(folder)),
            creation.read_name,
            "Name of the federation",
            _name_of(folder),
        ),
        host=host,
        port=port,
        sites=_answers(site, creation.read_site, "Sites, separated by spaces", "site-1 site-2"),
        admins=_answers(
            admin, creation.read_admin, "Administrators, separated by spaces", "admin@example.org"
        ),
    )
    creation.create_project(answers, file, builders=nvflare)
    option = "" if file == Path("project.yml") else f" --project {file}"
    err.print(
        f"Next: flarefleet{option} check; flarefleet{option} provision; flarefleet{option} up", markup=False
    )
    out.print(str(file), markup=False)


@app.command("export-project")
def export_project(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="New file (default: standard output).")
    ] = None,
) -> None:
    """Write project.yml as `nvflare provision` reads it: with builders, without `deployment`."""
    import yaml

    document = context_of(ctx).project().nvflare_document()
    complete = {key: value for key, value in document.items() if key != "deployment" and key[:2] != "x-"}
    text = yaml.safe_dump(complete, sort_keys=False)
    if file is None:
        typer.echo(text, nl=False)
        return
    if file.exists():
        raise InputError(f"{file}: already exists; choose another file")
    file.write_text(text, encoding="utf-8")
    err.print(f"Next: nvflare provision -p {file}", markup=False)


def _check(*given: tuple[str, Callable[[str], object], Sequence[str | None]]) -> None:
    """Check the values of the options.

    Raises:
        InputError: some are invalid; the message lists all of them.
    """
    errors = []
    for option, read, values in given:
        for value in values:
            try:
                if value is not None:
                    read(value)
            except InputError as error:
                errors.append(f"{option} {error}")
    if errors:
        raise InputError(errors)


def _answer(given: str | None, read: Callable[[str], _Value], question: str, default: str) -> _Value:
    """Return the value of an option, or ask until the answer is valid."""
    if given is not None:
        return read(given)
    while True:
        try:
            return read(typer.prompt(question, default=default, err=True).strip())
        except InputError as error:
            err.print(str(error), style="red", markup=False)


def _answers(
    given: list[str] | None, read: Callable[[str], str], question: str, default: str
) -> tuple[str, ...]:
    """Return the values of an option that can be repeated, or ask for all of them in one line."""
    if given:
        return tuple(_answer(one, read, question, default) for one in given)

    def read_all(text: str) -> tuple[str, ...]:
        return tuple(read(word) for word in text.replace(",", " ").split())

    return _answer(None, read_all, question, default)


def _name_of(folder: str) -> str:
    """Return the name of a folder if a federation can have it."""
    from deploy.project.validation.names import project_name_error

    return folder if project_name_error(folder) is None else "federation"
