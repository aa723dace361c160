"""What every verb shares: where project.yml and the workspace are, and how results are printed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from deploy.workspace import Workspace

if TYPE_CHECKING:
    from deploy.project import Project

out = Console(highlight=False, soft_wrap=True)
"""Results: what a script reads."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress, warnings and errors: what a person reads."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]


@dataclass(frozen=True)
class Context:
    """The options before the verb."""

    project_file: Path
    workspace_folder: Path

    def project(self) -> Project:
        """Read project.yml.

        Raises:
            InputError: with every mistake of the file.
        """
        from deploy.project import load_project

        return load_project(self.project_file, self.workspace_folder.absolute())

    def workspace(self, project: Project) -> Workspace:
        """The folder of that federation."""
        return Workspace(self.workspace_folder.absolute() / project.name)


def context_of(ctx: typer.Context) -> Context:
    """The options before the verb, as `deploy.cli.app` stored them."""
    found = ctx.find_object(Context)
    assert found is not None
    return found


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, default=str))
