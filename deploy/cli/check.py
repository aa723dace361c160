"""Command: check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from deploy.cli.context import JsonOption, context_of
from deploy.cli.output import out, print_json
from deploy.errors import InputError

app = typer.Typer()


@app.command()
def check(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Validate project.yml and report all errors with their lines."""
    from deploy.project.validation.diagnostics import listed

    context = context_of(ctx)
    try:
        project = context.project(needs_credentials=True)
    except InputError as error:
        if not as_json:
            raise
        print_json({"valid": False, "mistakes": list(_mistakes(error, context.project_file))})
        raise typer.Exit(error.exit_code) from error
    if as_json:
        print_json({"valid": True, "mistakes": [], **project.model_dump(mode="json")})
        return
    server = project.server
    rows = {
        "federation": project.name,
        "server": f"{server.name}, reached at {project.server_host}:{server.fed_learn_port}",
        f"{len(project.sites)} site{'s' * (len(project.sites) != 1)}": listed(
            [site.name for site in project.sites], 8
        ),
        "admins": ", ".join(f"{admin.name} ({admin.role})" for admin in project.admins),
    }
    out.print(f"{project.path} is valid.")
    for label, text in rows.items():
        out.print(f"  {label:<11} {text}")


def _mistakes(error: InputError, file: Path) -> Iterator[dict[str, Any]]:
    from deploy.project.validation.diagnostics import ProjectError

    if isinstance(error, ProjectError):
        yield from (mistake._asdict() for mistake in error.mistakes)
    else:  # the file cannot be opened
        yield {"file": file, "line": None, "key": "", "message": str(error), "remedy": ""}
