"""Choose the administrator that a command acts as."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from deploy.errors import InputError

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
        name = next(admin.name for admin in project.admins if admin.may_submit)  # there is always one
    elif name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            f"--admin {name}: {project.path} has no such administrator; {hint}It has: {', '.join(names)}"
        )
    if not (workspace.kit(name) / "startup" / "fed_admin.json").is_file():
        raise InputError(f"{name} has no startup kit in {workspace.kits}. Create it: flarefleet provision")
    return name
