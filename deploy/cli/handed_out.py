"""Whom `doctor` and `bundle` serve: the operator, or who has only a release folder or a startup kit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.admin_session import ENV_ADMIN_KIT
from deploy.cli.context import DEFAULT_PROJECT
from deploy.errors import InputError

if TYPE_CHECKING:
    from deploy.cli.context import Context

ReleaseOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Release folder of a site, without project.yml."),
]
KitOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Startup kit of an administrator, such as a data scientist."),
]


def release_or_kit(
    context: Context, release: Path | None, admin_kit: Path | None
) -> tuple[Path | None, Path | None]:
    """Return the release folder of a site, or the kit of an administrator; neither for an operator.

    Without options and without project.yml, it is the working directory, or the kit of FLAREFLEET_ADMIN_KIT.

    Raises:
        InputError: both options are given.
    """
    from deploy.doctor.handed_out import is_release
    from deploy.session.kit import kit_folder

    if release is not None and admin_kit is not None:
        raise InputError("--release and --admin-kit exclude each other")
    project = context.project_file
    has_project = context.names_project or project != DEFAULT_PROJECT or project.exists()
    if release is None and admin_kit is None and not has_project:
        if is_release(Path()):
            return Path(), None
        if named := os.environ.get(ENV_ADMIN_KIT):
            return None, Path(named)
        if kit_folder(Path.cwd()) is not None:
            return None, Path.cwd()
    return release, admin_kit
