"""Back up the state folder of a workspace to an encrypted file, and restore it."""

from __future__ import annotations

import io
import os
import tarfile
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from deploy.backup.encryption import decrypt, encrypt
from deploy.errors import Failed, InputError
from deploy.project import Project
from deploy.provision import locked_workspace
from deploy.provision.run import mark
from deploy.provision.state import CERTIFICATES, Credentials
from deploy.workspace import Workspace
from deploy.workspace_files import make_private, os_errors_explained, replace_folder, staging
from fl_app.contract import flarefleet_version
from fl_app.files import PRIVATE_FILE, sync_folder, write_atomically

RECORD = "last-backup.txt"
"""File in the workspace: when and where the last backup was made. `flarefleet doctor` reads it."""


@dataclass(frozen=True)
class BackupReport:
    """What a backup holds."""

    project: str
    file: Path
    created: str
    """When the backup was made: UTC, ISO 8601."""
    files: int
    keys: int
    """Participants with a key."""
    authority_expires: str
    replaced: Path | None = None
    """The folder that now holds the previous state."""


def back_up(
    project: Project, workspace: Workspace, file: Path, passphrase: str, *, force: bool = False
) -> BackupReport:
    """Write the state folder to `file`, encrypted, and verify the file by reading it back.

    Args:
        force: replace an existing file.

    Raises:
        InputError: there is no state, `file` is inside of the workspace, or it exists.
        MachineError: the file cannot be written, or another process changes the workspace.
        Failed: the written file differs from what was to be written.
    """
    if not (workspace.state / CERTIFICATES).is_file():
        raise InputError(
            f"{workspace.state} has no certificate authority to back up. Run: flarefleet provision"
        )
    file = file.absolute()
    if file.resolve().is_relative_to(workspace.root.resolve()):
        raise InputError(
            f"{file} is inside of {workspace.root}, which it is to protect. Choose another folder."
        )
    if file.is_dir() or not file.parent.is_dir():
        raise InputError(f"{file}: name a file in an existing folder.")
    if file.exists() and not force:
        raise InputError(f"{file} exists. Choose another name, or replace it: --force")
    with locked_workspace(workspace):
        packed_at = time.time()
        report = _report(project.name, file, _now(), workspace.state)
        content = _packed(workspace.state)
    document = encrypt(
        content, passphrase, project=project.name, created=report.created, flarefleet=flarefleet_version()
    )
    new = file.with_name(f".{file.name}.unverified")
    with os_errors_explained(workspace):
        try:
            write_atomically(new, document, PRIVATE_FILE)
            if decrypt(new, passphrase)[1] != content:
                raise Failed(f"{file} was not written: the copy on disk differs. Check the disk.")
            new.replace(file)
            sync_folder(file.parent)
            record = workspace.root / RECORD
            write_atomically(record, f"{report.created} to {file}\n".encode(), PRIVATE_FILE)
            os.utime(record, (packed_at, packed_at))  # a key that was made meanwhile is newer
        finally:
            new.unlink(missing_ok=True)
    return report


def restore(
    project: Project, workspace: Workspace, file: Path, passphrase: str, *, force: bool = False
) -> BackupReport:
    """Replace the state folder by the one in the backup `file`.

    Args:
        force: replace an existing state. It is kept in a folder beside the new one.

    Raises:
        InputError: the backup is unusable or of another federation, the passphrase is wrong, or there is a
            state and `force` is not set.
        MachineError: the workspace cannot be written, or another process changes it.
    """
    header, content = decrypt(file, passphrase)
    if header.project != project.name:
        raise InputError(f"{file} is a backup of {header.project}; {project.path} describes {project.name}.")
    with locked_workspace(workspace):
        has_state = workspace.state.is_dir() and any(workspace.state.iterdir())
        if has_state and not force:
            raise InputError(
                f"{workspace.state} has a state already. To replace it and keep the old one beside: --force"
            )
        mark(workspace)
        replaced = None
        with os_errors_explained(workspace), staging(workspace) as folder:
            new = folder / "state"
            new.mkdir()
            _unpack(content, new)
            make_private(new)
            report = _report(project.name, file, header.created, new)
            if has_state:  # they change places outside of the staging folder, which is deleted
                replaced = workspace.root / f"state.replaced-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
                new = new.rename(replaced)
            replace_folder(new, workspace.state)
            sync_folder(workspace.root)
    return BackupReport(**{**vars(report), "replaced": replaced})


def _report(project: str, file: Path, created: str, state: Path) -> BackupReport:
    credentials = Credentials(state)  # rejects a damaged state
    expires = credentials.authority_expiry
    return BackupReport(
        project=project,
        file=file,
        created=created,
        files=len(_files(state)),
        keys=len(credentials.names()),
        authority_expires=f"{expires:%Y-%m-%d}" if expires else "",
    )


def _files(state: Path) -> list[Path]:
    return sorted(file for file in state.rglob("*") if file.is_file() and not file.is_symlink())


def _packed(state: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file in _files(state):
            archive.add(file, file.relative_to(state).as_posix())
    return packed.getvalue()


def _unpack(content: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
