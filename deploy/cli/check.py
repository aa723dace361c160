"""Verbs: check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from deploy.cli.context import JsonOption, context_of, out, print_json

if TYPE_CHECKING:
    from deploy.project import Project

app = typer.Typer()


@app.command()
def check(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Read project.yml and report every mistake: where it is, what is wrong, what would be right."""
    project = context_of(ctx).project()
    if as_json:
        print_json(project.model_dump(mode="json"))
        return
    _print(project)


def _print(project: Project) -> None:
    server = project.server
    admins = ", ".join(f"{admin.name} ({admin.role})" for admin in project.admins)
    rows = {
        "federation": project.name,
        "server": f"{server.name}, reached at {project.server_host}:{server.fed_learn_port}",
        f"{len(project.sites)} sites" if len(project.sites) != 1 else "1 site": _names(project),
        "admins": admins,
    }
    out.print(f"{project.path} is valid.", markup=False)
    for label, text in rows.items():
        out.print(f"  {label:<11} {text}", markup=False)


def _names(project: Project, most: int = 8) -> str:
    names = [site.name for site in project.sites]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
