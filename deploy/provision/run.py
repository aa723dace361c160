"""The story of a provisioning: see what is to do, make it aside, keep the keys, put kits in their place."""

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
from deploy.provision.files import SECRET_FOLDER, locked, make_secret, write_secret
from deploy.provision.install_kits import finish, install, retire
from deploy.provision.plan import Plan, find_expiring, make_plan
from deploy.provision.report import AUTHORITY, Expiring, ProvisionReport, Removal, Renewal
from deploy.provision.state import Credentials, MadeKit, write_kits
from deploy.release.update import bring_up_to_date
from deploy.workspace import Workspace
from fl_app.contract import kit_version

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, of how much."""

_OURS = ".flarefleet"
MARKER = f"{_OURS}.json"
"""Says that a folder is a workspace of ours."""
LOCK = f"{_OURS}.lock"
STAGING = f"{_OURS}.staging"
"""What is being made; left over by a kill, it goes with the next run."""


def provision(
    project: Project,
    workspace: Workspace,
    *,
    renew: bool = False,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> ProvisionReport:
    """Make or update the keys, certificates and kits of a federation: only what project.yml changed.

    Args:
        renew: make certificates anew that end within 30 days; with the authority's, every kit.
        progress: told of what takes long.
        now: by which time certificates are judged; the present if None.

    Raises:
        InputError: NVFlare refuses the project, or the authority has ended and `renew` is not given.
        MachineError: the workspace cannot be written, is not ours, or another process provisions it.
    """
    tell = progress or (lambda _what, _done, _of: None)
    with _explained(workspace.root):
        _refuse_foreign(workspace)
        with locked(workspace.root / LOCK, lambda text: tell(text, 0, 0)):
            _mark(workspace)
            make_secret(workspace.state)
            plan = make_plan(project, workspace, renew=renew, now=now)
            with _staging(workspace) as staging:
                return _carry_out(project, workspace, plan, staging, tell)


def ensure_provisioned(project: Project, workspace: Workspace) -> None:
    """Make sure that every kit is there and is what project.yml wants.

    Raises:
        InputError: one is not, or a certificate has ended; it says which and names the command.
        MachineError: the state is damaged.
    """
    if not (workspace.root / MARKER).exists():
        raise InputError(
            f"{project.name} has not been provisioned in {workspace.root}; run: flarefleet provision"
        )
    plan = make_plan(project, workspace)
    if not plan.is_done:
        reasons = [
            *(f"{name}: {reason or 'it has no kit yet'}" for name, reason in plan.make.items()),
            *(f"{name}: project.yml no longer names it" for name in plan.retire),
        ]
        more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        raise InputError(
            f"the kits of {project.name} are not what {project.path} wants ({'; '.join(reasons[:5])}{more}); "
            "run: flarefleet provision"
        )
    if expired := [one for one in plan.expiring if one.is_expired]:
        named = ", ".join(f"{one.name} ({one.date:%Y-%m-%d})" for one in expired[:5])
        raise InputError(f"certificates have ended: {named}; run: flarefleet provision --renew")


def _carry_out(
    project: Project, workspace: Workspace, plan: Plan, staging: Path, tell: Progress
) -> ProvisionReport:
    removed = {name: workspace.kit(name) for name in plan.retire}
    made = dict(plan.keep)
    if not plan.is_done:
        made |= _make(project, workspace, plan, staging, tell)
        removed = {name: retire(workspace, name, staging) for name in plan.retire}
    bring_up_to_date(project, workspace, made, plan.make, staging)
    if made != plan.made:
        write_kits(workspace.state, made)
    return _report(project, workspace, plan, removed)


def _make(
    project: Project, workspace: Workspace, plan: Plan, staging: Path, tell: Progress
) -> dict[str, MadeKit]:
    """Build the kits aside; once cert.json is replaced, the next run finishes what this one does not."""
    from deploy.provision.builders import build_kits

    def issued(done: int, of: int) -> None:
        tell("keys and certificates", done, of)

    kits = build_kits(project, plan, workspace.state, staging, issued)
    credentials = Credentials(workspace.state)
    workspace.kits.mkdir(exist_ok=True)
    made = {}
    for number, name in enumerate(plan.make, start=1):
        certificate = credentials.certificate(name)
        assert certificate is not None
        kit = MadeKit(plan.wanted[name].parts, certificate.digest, finish(kits / name))
        install(kits / name, kit.files, plan.made.get(name), workspace.kit(name))
        made[name] = kit
        tell("kits", number, len(plan.make))
    _install_what_is_common(kits, workspace.kits, {*plan.wanted})
    return made


def _install_what_is_common(kits: Path, place: Path, names: set[str]) -> None:
    """What builders such as NVFlare's DockerBuilder leave beside the kits."""
    for path in kits.iterdir():
        if path.name not in names and not (path / "startup").is_dir():
            if path.is_dir() and (place / path.name).exists():
                shutil.rmtree(place / path.name)
            path.rename(place / path.name)


def _report(project: Project, workspace: Workspace, plan: Plan, removed: dict[str, Path]) -> ProvisionReport:
    renewed = [Renewal(name=name, reason=reason) for name, reason in plan.make.items() if reason]
    if plan.new_authority:
        renewed.insert(0, Renewal(name=AUTHORITY, reason=plan.new_authority))
    return ProvisionReport(
        project=project.name,
        workspace=workspace.root,
        created=tuple(name for name, reason in plan.make.items() if not reason),
        renewed=tuple(renewed),
        unchanged=len(plan.keep),
        removed=tuple(
            Removal(name=name, kit=kit, valid_until=plan.retire[name]) for name, kit in removed.items()
        ),
        expiring=(*_new_and_expiring(workspace, plan), *plan.expiring),
    )


def _new_and_expiring(workspace: Workspace, plan: Plan) -> Iterator[Expiring]:
    """What was issued just now and soon ends: nothing lasts longer than the authority."""
    if plan.issue:
        credentials = Credentials(workspace.state)
        issued = {name: found for name in plan.issue if (found := credentials.certificate(name))}
        authority = credentials.authority if plan.new_authority is not None else None
        yield from find_expiring(authority, issued, datetime.now(timezone.utc))


def _refuse_foreign(workspace: Workspace) -> None:
    """Leave a folder alone that is not ours; make one that is missing."""
    root = workspace.root
    root.mkdir(parents=True, exist_ok=True)
    foreign = sorted(
        path.name
        for path in root.iterdir()
        if path not in (workspace.demo, workspace.runs) and not path.name.startswith((_OURS, f".{_OURS}"))
    )
    # Looked for after the others: another run makes it before anything else.
    if foreign and not (root / MARKER).exists():
        raise MachineError(
            f"{root} is not a workspace of Flarefleet (it holds {', '.join(foreign[:3])}); choose another "
            "folder: flarefleet --workspace FOLDER provision"
        )


def _mark(workspace: Workspace) -> None:
    if not (workspace.root / MARKER).exists():
        document = {"flarefleet": kit_version(), "note": "made by flarefleet provision; holds private keys"}
        write_secret(workspace.root / MARKER, (json.dumps(document) + "\n").encode())


@contextmanager
def _staging(workspace: Workspace) -> Iterator[Path]:
    """A folder of the lock's holder, on the same file system as the kits; it is not there afterwards."""
    folder = workspace.root / STAGING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=SECRET_FOLDER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    """Say what the machine lacks."""
    try:
        yield
    except OSError as error:
        where = error.filename or root
        raise MachineError(
            f"{os.fsdecode(where)}: {error.strerror or error}; {root} is as it was, or the next "
            "run completes it"
        ) from error
