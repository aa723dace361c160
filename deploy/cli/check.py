"""Command: check."""

from __future__ import annotations

import typer

from deploy.cli.context import JsonOption, context_of, out, print_json

app = typer.Typer()


@app.command()
def check(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Validate project.yml and report all errors with their lines."""
    from deploy.project.validation.diagnostics import listed

    project = context_of(ctx).project(needs_credentials=True)
    if as_json:
        print_json(project.model_dump(mode="json"))
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
    out.print(f"{project.path} is valid.", markup=False)
    for label, text in rows.items():
        out.print(f"  {label:<11} {text}", markup=False)
