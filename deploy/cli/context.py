"""Options that all commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.runtimes.choice import RuntimeName
from deploy.workspace import Workspace

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.runtimes.protocol import Runtime

DEFAULT_PROJECT = Path("project.yml")

RuntimeOption = Annotated[
    RuntimeName | None,
    typer.Option(
        "--runtime", "-r", help="Runtime (default: the one on which the federation was started, or process)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


@dataclass(frozen=True)
class Context:
    """The options before the command."""

    project_file: Path
    workspace_folder: Path
    names_project: bool = False
    """Whether the command line has `--project`."""

    def project(self, *, needs_credentials: bool = False) -> Project:
        """Load project.yml.

        Args:
            needs_credentials: also validate the credentials file that it names.

        Raises:
            InputError: the file is invalid; the message lists all errors.
        """
        from deploy.project import load_project

        folder = self.workspace_folder.absolute()
        return load_project(self.project_file, folder, needs_credentials=needs_credentials)

    def federation(
        self, runtime: RuntimeName | None = None, *, needs_credentials: bool = False
    ) -> tuple[Project, Workspace, Runtime]:
        """Return the federation, and the runtime of that name (default: the current one)."""
        from deploy.runtimes.choice import DEFAULT, open_runtime, remembered

        project = self.project(needs_credentials=needs_credentials)
        workspace = self.workspace(project)
        name = runtime.value if runtime else remembered(workspace) or DEFAULT
        return project, workspace, open_runtime(name, project, workspace)

    def workspace(self, project: Project) -> Workspace:
        """Return the federation's workspace."""
        return Workspace(self.workspace_folder.absolute() / project.name)


def is_given(ctx: Any, option: str) -> bool:
    """Return whether an option is on the command line, and not from the environment or a default."""
    source = ctx.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def context_of(ctx: typer.Context) -> Context:
    """Return the options that `deploy.cli.app` stored."""
    found = ctx.find_object(Context)
    assert found is not None
    return found
