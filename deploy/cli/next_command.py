"""The command that a user needs next, for the same federation."""

from __future__ import annotations

import shlex

import typer

from deploy.cli.context import context_of, is_given


def next_command(ctx: typer.Context, *words: str) -> str:
    """Return a command line with the options of this one that select the federation and the administrator."""
    context = context_of(ctx)
    given = {"project": context.project_file, "workspace": context.workspace_folder, **ctx.params}
    options: list[str] = []
    for name in ("project", "workspace", "admin", "admin_kit"):
        if any(is_given(one, name) for one in (ctx, ctx.parent) if one is not None):
            options += [f"--{name.replace('_', '-')}", str(given[name])]
    return shlex.join(["flarefleet", *words, *options])
