"""Writes release/NAME for the server and every site: values.yaml, key-secret.yaml (0600) and INSTALL.md.

Where the server can be reached from other hosts, compose.yaml too: for a host with Docker and no Kubernetes.

Made from project.yml and the kits alone: the same input gives the same bytes, and a file that already holds
them is left as it is. Each folder is all that its operator needs and holds nothing of anybody else.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import BaseModel

from deploy.errors import InputError
from deploy.project import Project
from deploy.project.object_names import release_name
from deploy.release.compose import host_file, is_for_several_hosts
from deploy.release.install_guide import install_text
from deploy.release.participant import Participant
from deploy.release.secret import SECRET_FILE, secret_text
from deploy.release.values import VALUES_FILE, values_text
from deploy.workspace import Workspace

INSTALL_FILE = "INSTALL.md"
COMPOSE_FILE = "compose.yaml"
SECRET_MODE = 0o600
OPEN_MODE = 0o644
FOLDER_MODE = 0o700

__all__ = ["ReleaseReport", "release_name", "write_release"]


class ReleaseReport(BaseModel, frozen=True):
    """What of the release folders changed."""

    written: tuple[str, ...] = ()
    """Participants with a file that is new or another."""


def write_release(
    project: Project, workspace: Workspace, names: Collection[str] | None = None
) -> ReleaseReport:
    """Bring every participant's release folder up to date with project.yml and its kit.

    Args:
        names: of these alone.

    Raises:
        InputError: a kit is missing.
    """
    workspace.release.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    participants = _participants(project, workspace, names)
    written = [participant.name for participant in participants if _write_one(participant, workspace)]
    return ReleaseReport(written=tuple(written))


def _participants(
    project: Project, workspace: Workspace, names: Collection[str] | None
) -> Iterator[Participant]:
    for one in project.parents:
        if names is not None and one.name not in names:
            continue
        kit = workspace.kit(one.name)
        if not kit.is_dir():
            raise InputError(f"{kit}: there is no kit of {one.name}; make it: flarefleet provision")
        yield Participant(project=project, deployment=one.deployment, name=one.name, kit=kit)


def _write_one(participant: Participant, workspace: Workspace) -> bool:
    """Write the files of one participant; whether any of them changed."""
    folder = workspace.release / participant.name
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    files = [
        (VALUES_FILE, values_text(participant), OPEN_MODE),
        (SECRET_FILE, secret_text(participant), SECRET_MODE),
        (INSTALL_FILE, install_text(participant), OPEN_MODE),
    ]
    if is_for_several_hosts(participant.project):
        files.append((COMPOSE_FILE, _compose_text(participant), OPEN_MODE))
    changed = [_put(folder / name, text.encode(), mode) for name, text, mode in files]
    return any(changed)


def _compose_text(participant: Participant) -> str:
    from deploy.images.names import site_image

    project = participant.project
    return host_file(project, participant.name, image=site_image(project, participant.name))


def _put(file: Path, content: bytes, mode: int) -> bool:
    """Make `file` hold `content`, in one step; whether it did not before."""
    same = file.exists() and file.read_bytes() == content
    if same and file.stat().st_mode & 0o777 == mode:
        return False
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as out:  # noqa: PTH123
        os.fchmod(descriptor, mode)
        out.write(content)
    beside.rename(file)
    return not same
