"""Make everything that project.yml describes: startup kits, then the release folders made from them."""

from __future__ import annotations

from datetime import datetime

from deploy.project import Project
from deploy.provision import (
    ProvisionPreview,
    ProvisionProgress,
    ProvisionReport,
    locked_workspace,
    preview,
    provision,
)
from deploy.release.preview import preview_releases
from deploy.release.update import update_releases
from deploy.workspace import Workspace


def make_kits_and_releases(
    project: Project,
    workspace: Workspace,
    *,
    renew: bool = False,
    progress: ProvisionProgress | None = None,
    now: datetime | None = None,
) -> ProvisionReport:
    """Provision a federation and update its release folders. For arguments and errors, see both functions."""
    with locked_workspace(workspace, progress):
        report = provision(project, workspace, renew=renew, progress=progress, now=now)
        update_releases(project, workspace)
    return report


def preview_kits_and_releases(
    project: Project, workspace: Workspace, *, renew: bool = False
) -> ProvisionPreview:
    """Return what `make_kits_and_releases` would change, and write nothing."""
    report = preview(project, workspace, renew=renew)
    built = {*report.created, *(one.name for one in report.renewed)}
    releases = preview_releases(project, workspace, built)
    return ProvisionPreview(**report.model_dump(), releases=tuple(releases))
