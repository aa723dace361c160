"""Open an administrator's session for a command, with a startup kit or with a kit of project.yml.

The kit is, in this order: `--admin-kit`; a kit of an administrator of the project.yml that `--project` names;
FLAREFLEET_ADMIN_KIT; the working directory, if it is a kit and there is no project.yml; and otherwise the kit
of an administrator of project.yml.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.cli.context import Context
from deploy.cli.output import err
from deploy.errors import Failed, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.session import AdminKit, AdminSession

ENV_ADMIN_KIT = "FLAREFLEET_ADMIN_KIT"


@contextmanager
def admin_session(context: Context, admin: str | None, admin_kit: Path | None) -> Iterator[AdminSession]:
    """Open a session. If the server fails, the message also says what its telemetry reports."""
    from deploy.session import open_session
    from deploy.session.known_jobs import remember_jobs
    from deploy.session.requests import ServerFailed

    admin_kit = choose_kit(context, admin_kit)
    source = (admin_kit or context.project_file).resolve()  # a session changes the working directory
    kit = find_kit(context, admin, admin_kit)
    try:
        with open_session(kit) as session:
            try:
                yield session
            finally:
                remember_jobs(source, session.seen)
    except ServerFailed as error:
        if admin_kit is None and (reason := _server_reason(context)):
            raise Failed(f"{error}\n{reason}") from error
        raise


def choose_kit(context: Context, admin_kit: Path | None) -> Path | None:
    """Return the folder of the kit without which the command needs no project.yml; None if it needs one.

    If FLAREFLEET_ADMIN_KIT and project.yml are both there, say on stderr which federation is meant.

    Args:
        admin_kit: the value of `--admin-kit`.

    Raises:
        InputError: there is neither a kit nor a project.yml.
    """
    if admin_kit is not None or context.names_project:
        return admin_kit
    has_project = context.project_file.exists()
    named = os.environ.get(ENV_ADMIN_KIT)
    if has_project and not named:
        return None
    from deploy.session.kit import AdminKit, kit_folder

    if named:
        if has_project:
            err.print(
                f"The federation is that of {ENV_ADMIN_KIT}, at {AdminKit.read(Path(named)).address}. "
                f"For that of {context.project_file}: --project {context.project_file}"
            )
        return Path(named)
    if kit_folder(Path.cwd()) is not None:
        return Path.cwd()
    raise InputError(
        f"There is no startup kit to log in with. Name the folder of your kit: --admin-kit FOLDER, or "
        f"{ENV_ADMIN_KIT} in the environment. Operators: there is no {context.project_file}; run in its "
        "folder, or use --project"
    )


def _server_reason(context: Context) -> str:
    """Return why the server of the federation on this machine is not ready; empty if it is."""
    _, _, runtime = context.federation()
    for site in runtime.status().sites:
        if site.role == "server" and site.reason:
            return f"{site.name}: {site.state.value}: {site.reason}"
    return ""


def find_kit(context: Context, admin: str | None, admin_kit: Path | None) -> AdminKit:
    """Return the kit to log in with; see this module for the order.

    Raises:
        InputError: there is none, or it is not an administrator's kit.
    """
    from deploy.session import AdminKit

    admin_kit = choose_kit(context, admin_kit)
    if admin_kit is not None:
        if admin is not None:
            raise InputError(
                f"--admin excludes --admin-kit and {ENV_ADMIN_KIT}: a kit belongs to one administrator"
            )
        return AdminKit.read(admin_kit)
    from deploy.session.administrators import choose_administrator

    project, workspace, runtime = context.federation()
    return AdminKit.read(runtime.admin_kit(choose_administrator(project, workspace, admin)))
