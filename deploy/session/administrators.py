"""Choose the administrator that a command acts as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.errors import InputError
from deploy.project.validation.diagnostics import Choices

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.workspace import Workspace


def choose_administrator(project: Project, workspace: Workspace, name: str | None = None) -> str:
    """Return the administrator to act as: `name`, or the first one allowed to submit jobs.

    Raises:
        InputError: there is no such administrator, or it has no startup kit yet.
    """
    names = [admin.name for admin in project.admins]
    if name is None:
        # load_project requires one.
        name = next(admin.name for admin in project.admins if admin.may_submit)
    elif name not in names:
        available = Choices(names).available(name)
        raise InputError(f"--admin {name}: {project.path} has no such administrator; {available}")
    if not (workspace.kit(name) / "startup" / "fed_admin.json").is_file():
        raise InputError(f"{name} has no startup kit in {workspace.kits}. Create it: flarefleet provision")
    return name
