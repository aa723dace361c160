"""Provision a federation: plan the changes, build kits in a staging folder, save keys, install kits."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from deploy.errors import InputError, MachineError
from deploy.project import Project
from deploy.provision.plan import ProvisionPlan, find_expiring, make_plan
from deploy.provision.report import AUTHORITY, Expiring, ProvisionReport, Removal, Renewal
from deploy.provision.state import Credentials, FileRecord, KitRecord, digest_of, write_kits
from deploy.secret_files import SECRET_SUFFIXES
from deploy.workspace import Workspace
from deploy.workspace_files import (
    OWN_PREFIX,
    link_or_copy,
    locked,
    make_private,
    move_to_removed,
    os_errors_explained,
    replace_folder,
    staging,
)
from fl_app.contract import flarefleet_version
from fl_app.files import PRIVATE_FILE, write_atomically

ProvisionProgress = Callable[[str, int, int], None]
"""Called with the current step, the number of finished items and the number of all (0: only a message)."""

MARKER = f"{OWN_PREFIX}.json"
"""File that marks a folder as a workspace of Flarefleet."""


def provision(
    project: Project,
    workspace: Workspace,
    *,
    renew: bool = False,
    progress: ProvisionProgress | None = None,
    now: datetime | None = None,
) -> ProvisionReport:
    """Create or update the keys, certificates and kits of a federation: only those that project.yml changed.

    Args:
        renew: renew certificates that expire within 30 days. A new authority rebuilds every kit.
        progress: called during steps that take long.
        now: the time for checks of expiry; the current time if None.

    Raises:
        InputError: NVFlare rejects the project, or the authority has expired and `renew` is not set.
        MachineError: the workspace cannot be written, is a foreign folder, or is locked by another process.
    """
    tell = progress or (lambda _what, _done, _of: None)
    with locked_workspace(workspace, tell):
        mark(workspace)
        plan = make_plan(project, workspace, renew=renew, now=now)
        make_private(workspace.state)
        return _carry_out(project, workspace, plan, tell)


def mark(workspace: Workspace) -> None:
    """Mark the workspace's folder as one of Flarefleet."""
    if not (workspace.root / MARKER).exists():
        note = "made by flarefleet provision; holds private keys"
        marker = json.dumps({"flarefleet": flarefleet_version(), "note": note}) + "\n"
        write_atomically(workspace.root / MARKER, marker.encode(), PRIVATE_FILE)


def preview(
    project: Project, workspace: Workspace, *, renew: bool = False, now: datetime | None = None
) -> ProvisionReport:
    """Return the report that `provision` would return now, and write nothing.

    Raises:
        InputError, MachineError: as `provision`.
    """
    _refuse_foreign(workspace)
    plan = make_plan(project, workspace, renew=renew, now=now)
    kits = {name: workspace.kit(name) for name in plan.remove}
    return _report(project, workspace, plan, kits, plan.expiring)


@contextmanager
def locked_workspace(workspace: Workspace, progress: ProvisionProgress | None = None) -> Iterator[None]:
    """Create the workspace if necessary, and hold its lock. A thread that holds it may acquire it again.

    Raises:
        MachineError: the workspace cannot be written, is a foreign folder, or is locked by another process.
    """
    with os_errors_explained(workspace):
        workspace.root.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(workspace)
        with locked(workspace, lambda text: progress(text, 0, 0) if progress else None):
            yield


def ensure_provisioned(project: Project, workspace: Workspace) -> None:
    """Check that every kit exists and matches project.yml.

    Raises:
        InputError: a kit is missing or outdated, or a certificate has expired.
        MachineError: the state is damaged.
    """
    if not (workspace.root / MARKER).exists():
        raise InputError(
            f"{project.name} has not been provisioned in {workspace.root}. Run: flarefleet provision"
        )
    plan = make_plan(project, workspace)
    if not plan.is_empty:
        reasons = [
            *(f"{name}: {reason or 'it has no kit yet'}" for name, reason in plan.build.items()),
            *(f"{name}: project.yml no longer has it" for name in plan.remove),
        ]
        more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        raise InputError(
            f"The kits of {project.name} do not match {project.path} ({'; '.join(reasons[:5])}{more}). "
            "Run: flarefleet provision"
        )
    if expired := [one for one in plan.expiring if one.is_expired]:
        named = ", ".join(f"{one.name} ({one.date:%Y-%m-%d})" for one in expired[:5])
        raise InputError(f"Certificates have expired: {named}. Run: flarefleet provision --renew")


def _carry_out(
    project: Project, workspace: Workspace, plan: ProvisionPlan, tell: ProvisionProgress
) -> ProvisionReport:
    records, removed = dict(plan.keep), {}
    if not plan.is_empty:
        records |= _build(project, workspace, plan, tell)
        removed = {name: move_to_removed(workspace, workspace.kit(name), name) for name in plan.remove}
    if records != plan.recorded:
        write_kits(workspace.state, records)
    expiring = (*_issued_and_expiring(workspace, plan), *plan.expiring)
    return _report(project, workspace, plan, removed, expiring)


def _build(
    project: Project, workspace: Workspace, plan: ProvisionPlan, tell: ProvisionProgress
) -> dict[str, KitRecord]:
    """Build and install the kits. If a run is killed after it wrote cert.json, the next run completes it."""
    from deploy.provision.builders import build_kits

    with staging(workspace) as folder:
        kits = build_kits(
            project, plan, workspace.state, folder, lambda done, of: tell("keys and certificates", done, of)
        )
        credentials = Credentials(workspace.state)
        workspace.kits.mkdir(exist_ok=True)
        records = {}
        for number, name in enumerate(plan.build, start=1):
            certificate = credentials.certificate(name)
            assert certificate is not None
            record = KitRecord(plan.specs[name].parts, certificate.digest, _set_modes(kits / name))
            _install_kit(kits / name, record.files, plan.recorded.get(name), workspace.kit(name))
            records[name] = record
            tell("kits", number, len(plan.build))
        _install_common_files(kits, workspace.kits, {*plan.specs})
    return records


def _set_modes(kit: Path) -> dict[str, FileRecord]:
    """Set the mode of every file of a kit, regardless of the umask.

    Returns:
        The record of each file by its path in the kit.
    """
    records = {}
    root = os.fspath(kit)
    for where, _, names in os.walk(root):
        os.chmod(where, 0o755)  # noqa: PTH101, S103 - pathlib would double the time here
        for name in names:
            file = f"{where}/{name}"
            found = os.stat(file)  # noqa: PTH116
            public_mode = 0o755 if found.st_mode & 0o100 else 0o644
            mode = PRIVATE_FILE if name.endswith(SECRET_SUFFIXES) else public_mode
            if found.st_mode & 0o777 != mode:
                os.chmod(file, mode)  # noqa: PTH101
            with open(file, "rb") as content:  # noqa: PTH123
                digest = digest_of(content.read())
            records[file[len(root) + 1 :]] = FileRecord(found.st_size, found.st_mtime_ns, digest)
    return records


def _install_kit(new: Path, records: dict[str, FileRecord], last: KitRecord | None, kit: Path) -> None:
    """Replace `kit` with the folder `new` in one step. Files that the operator added to `kit` are kept."""
    if kit.is_dir():
        _keep_added_files(new, records.keys() | (last.files.keys() if last else set()), kit)
    replace_folder(new, kit)


def _keep_added_files(new: Path, provisioned: set[str], kit: Path) -> None:
    for file in (Path(where, name) for where, _, names in os.walk(kit) for name in names):
        path = file.relative_to(kit).as_posix()
        if path not in provisioned and not os.path.lexists(new / path):
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(str(file), str(new / path))


def _install_common_files(new: Path, kits: Path, names: set[str]) -> None:
    """Install what builders such as NVFlare's DockerBuilder write beside the kits."""
    for path in new.iterdir():
        if path.name not in names and not (path / "startup").is_dir():
            if path.is_dir() and (kits / path.name).exists():
                shutil.rmtree(kits / path.name)
            path.rename(kits / path.name)


def _report(
    project: Project,
    workspace: Workspace,
    plan: ProvisionPlan,
    removed: dict[str, Path],
    expiring: tuple[Expiring, ...],
) -> ProvisionReport:
    renewed = [Renewal(name=name, reason=reason) for name, reason in plan.build.items() if reason]
    if plan.new_authority:
        renewed.insert(0, Renewal(name=AUTHORITY, reason=plan.new_authority))
    return ProvisionReport(
        project=project.name,
        workspace=workspace.root,
        created=tuple(name for name, reason in plan.build.items() if not reason),
        renewed=tuple(renewed),
        unchanged=len(plan.keep),
        removed=tuple(
            Removal(name=name, kit=kit, valid_until=plan.remove[name]) for name, kit in removed.items()
        ),
        expiring=expiring,
    )


def _issued_and_expiring(workspace: Workspace, plan: ProvisionPlan) -> Iterator[Expiring]:
    """Yield new certificates that expire soon: none is valid for longer than the authority."""
    if plan.issue:
        credentials = Credentials(workspace.state)
        issued = {name: found for name in plan.issue if (found := credentials.certificate(name))}
        expiry = credentials.authority_expiry if plan.new_authority is not None else None
        yield from find_expiring(expiry, issued, datetime.now(timezone.utc))


def _refuse_foreign(workspace: Workspace) -> None:
    """Refuse a folder that has other files and no marker."""
    root = workspace.root
    if not root.exists():
        return
    foreign = sorted(
        path.name
        for path in root.iterdir()
        if path not in (workspace.demo, workspace.runs)
        and not path.name.startswith((OWN_PREFIX, f".{OWN_PREFIX}"))
    )
    # Check for the marker after the listing: a run in parallel writes the marker before any other file.
    if foreign and not (root / MARKER).exists():
        raise MachineError(
            f"{root} is not a workspace of Flarefleet (it contains {', '.join(foreign[:3])}). Use another "
            "folder: flarefleet --workspace FOLDER provision"
        )
