"""Open an administrator's session for a command."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.cli.context import Context
from deploy.errors import Failed, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.session import AdminKit, AdminSession


@contextmanager
def admin_session(context: Context, admin: str | None, admin_kit: Path | None) -> Iterator[AdminSession]:
    """Open a session. If the server fails, the message also says what its telemetry reports."""
    from deploy.session import open_session
    from deploy.session.requests import ServerFailed

    kit = find_kit(context, admin, admin_kit)
    try:
        with open_session(kit) as session:
            yield session
    except ServerFailed as error:
        if admin_kit is None and (reason := _server_reason(context)):
            raise Failed(f"{error}\n{reason}") from error
        raise


def _server_reason(context: Context) -> str:
    """Return why the server of the federation on this machine is not ready; empty if it is."""
    _, _, runtime = context.federation()
    for site in runtime.status().sites:
        if site.role == "server" and site.reason:
            return f"{site.name}: {site.state.value}: {site.reason}"
    return ""


def find_kit(context: Context, admin: str | None, admin_kit: Path | None) -> AdminKit:
    """Return the given startup kit, or one of the running federation."""
    from deploy.session import AdminKit

    if admin_kit is not None:
        if admin is not None:
            raise InputError("--admin and --admin-kit exclude each other: a kit belongs to one administrator")
        return AdminKit.read(admin_kit)
    from deploy.session.administrators import choose_administrator

    project, workspace, runtime = context.federation()
    return AdminKit.read(runtime.admin_kit(choose_administrator(project, workspace, admin)))
