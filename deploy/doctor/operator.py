"""Checks of an operator: project.yml, workspace, this machine, runtimes, and the running federation."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.backup.state import RECORD
from deploy.doctor.examination import Group
from deploy.errors import Failed, InputError, MachineError
from deploy.images.names import runtime_image
from deploy.project import Project, load_project
from deploy.project.validation.diagnostics import listed
from deploy.provision import ensure_provisioned
from deploy.provision.plan import make_plan
from deploy.runtimes.choice import BACKENDS, DEFAULT, open_runtime, remembered
from deploy.secret_files import has_secret_name
from deploy.workspace import Workspace
from fl_app.checks.check import Category, Check, NotApplicable, Severity
from fl_app.checks.machine import CLOCK, DISK_SPACE

if TYPE_CHECKING:
    from deploy.runtimes.docker.runtime import DockerRuntime
    from deploy.runtimes.protocol import Runtime

SECONDS_FOR_SITES = 60.0


@dataclass(frozen=True)
class Operator:
    """The operator of a federation, on the machine of project.yml."""

    project_file: Path
    workspace_folder: Path
    chosen: str | None = None
    """The runtime that the operator names; None: the one that the federation runs on, if any."""

    @cached_property
    def project(self) -> Project:
        """The federation. See `load_project` for errors."""
        return load_project(self.project_file, self.workspace_folder, needs_credentials=True)

    @property
    def workspace(self) -> Workspace:
        """The federation's workspace."""
        return Workspace(self.workspace_folder / self.project.name)

    @property
    def runtime(self) -> str | None:
        """The name of the runtime to examine; None if any may be used."""
        return self.chosen or remembered(self.workspace)

    def open(self, name: str) -> Runtime:
        """Return a runtime."""
        return open_runtime(name, self.project, self.workspace)


def groups(operator: Operator) -> Iterator[Group]:
    """Yield the groups of checks of an operator."""
    yield Group([PROJECT], lambda: operator)
    yield Group(WORKSPACE, lambda: operator, needs=PROJECT.name)
    yield Group([DISK_SPACE], lambda: operator.workspace_folder)
    yield Group([CLOCK], lambda: None)
    for name in BACKENDS:
        yield from _runtime_groups(operator, name)
    yield Group([SITES], lambda: operator, needs=PROJECT.name)


def preflight(name: str) -> tuple[Check[Runtime], ...]:
    """Return the checks that `up` makes on a runtime."""
    module = BACKENDS[name].partition(":")[0].removesuffix(".runtime")
    checks: tuple[Check[Runtime], ...] = importlib.import_module(f"{module}.checks").CHECKS
    return checks


def _runtime_groups(operator: Operator, name: str) -> Iterator[Group]:
    """Yield the checks of a runtime, unless the operator uses another one."""
    try:
        chosen = operator.runtime
    except Exception:  # project.yml is invalid, which its own check reports
        chosen = operator.chosen
    if chosen not in (None, name):
        return
    checks: list[Check[Any]] = [*preflight(name), *([DOCKER_IMAGES] if name == "docker" else [])]
    is_optional = chosen is None and name != DEFAULT
    yield Group(checks, lambda: operator.open(name), needs=PROJECT.name, is_optional=is_optional)


def _check_project(operator: Operator) -> str:
    if not operator.project_file.exists():
        raise InputError(
            f"{operator.project_file} is missing. Name it: flarefleet --project FILE doctor. Without one, "
            "a site uses: flarefleet doctor --release FOLDER, and a data scientist: flarefleet doctor "
            "--admin-kit FOLDER"
        )
    project = operator.project
    return f"{project.path}: {project.name}, {len(project.sites)} site{'s' * (len(project.sites) != 1)}"


def _check_permissions(operator: Operator) -> str:
    workspace = operator.workspace
    if not workspace.state.is_dir():
        raise NotApplicable("not provisioned yet")
    states = [workspace.state, *workspace.root.glob("state.replaced-*")]  # restore keeps old ones
    secret = [file for state in states for file in (state, *state.iterdir())]
    for folder in (workspace.kits, workspace.release, workspace.removed):
        for where, _, names in os.walk(folder):
            secret += [Path(where, name) for name in names if has_secret_name(Path(name))]
    exposed = [file for file in secret if file.stat().st_mode & 0o077]
    if exposed:
        raise Failed(
            f"other users may read {listed([str(file) for file in exposed], 3)}. Restrict it: chmod go= FILE"
        )
    return f"{len(secret)} files and folders with private keys"


def _check_provisioned(operator: Operator) -> str:
    ensure_provisioned(operator.project, operator.workspace)
    return "every kit matches project.yml"


def _check_expiry(operator: Operator) -> str:
    if not operator.workspace.state.is_dir():
        raise NotApplicable("not provisioned yet")
    expiring = make_plan(operator.project, operator.workspace).expiring
    if expiring:
        named = listed([f"{one.name} ({one.date:%Y-%m-%d})" for one in expiring], 5)
        raise Failed(f"certificates expire within 30 days: {named}. Renew them: flarefleet provision --renew")
    return "no certificate expires within 30 days"


def _check_backup(operator: Operator) -> str:
    """Compare the time of the newest key with the record of the last backup."""
    record, certificates = operator.workspace.root / RECORD, operator.workspace.state / "cert.json"
    if not certificates.is_file():
        raise NotApplicable("not provisioned yet")
    made = datetime.fromtimestamp(certificates.stat().st_mtime, timezone.utc)
    if not record.is_file() or record.stat().st_mtime < certificates.stat().st_mtime:
        raise Failed(
            f"the keys of {made:%Y-%m-%d %H:%M} UTC are in no backup. Make one: flarefleet backup FILE"
        )
    return record.read_text(encoding="utf-8").strip()


def _check_images(runtime: DockerRuntime) -> str:
    from docker.errors import ImageNotFound

    name = runtime_image(runtime.project.image)
    try:
        runtime.client.images.get(name)
    except ImageNotFound as error:
        raise MachineError(
            f"the engine has no image {name}; `up` builds it, for some minutes. Or: flarefleet images build"
        ) from error
    return name


def _check_sites(operator: Operator) -> str:
    name = operator.runtime
    if name is None:
        raise NotApplicable("the federation is not running; start it: flarefleet up")
    status = operator.open(name).status()
    if not status.sites:
        raise NotApplicable(f"the federation is not running on {name}; start it: flarefleet up")
    late = [
        f"{site.name} is {site.state.value}: {site.reason}" for site in status.sites if site.state != "ready"
    ]
    if late:
        raise Failed(f"{listed(late, 5)}. See: flarefleet status; flarefleet logs NAME")
    return f"the server and {len(status.sites) - 1} sites are ready"


PROJECT = Check(
    "project",
    Category.PROJECT,
    "project.yml and the credentials file that it names are valid.",
    "Correct the lines that the messages name.",
    _check_project,
    is_fatal=True,
)
WORKSPACE: tuple[Check[Operator], ...] = (
    Check(
        "provisioned",
        Category.WORKSPACE,
        "Every kit exists and matches project.yml, and no certificate has expired.",
        "Run `flarefleet provision`, for expired certificates with `--renew`, and hand out the changed kits.",
        _check_provisioned,
        deadline=60.0,
    ),
    Check(
        "key-permissions",
        Category.WORKSPACE,
        "Only this user may read the certificate authority and the private keys.",
        "`chmod go= FILE`. If other users were on the machine, replace the keys: remove the participant from "
        "project.yml, provision, add it again.",
        _check_permissions,
        deadline=60.0,
    ),
    Check(
        "certificates-expiry",
        Category.WORKSPACE,
        "No certificate of the authority, the server, a site or an administrator expires within 30 days.",
        "Run `flarefleet provision --renew` and hand out the renewed kits.",
        _check_expiry,
        Severity.WARNING,
        deadline=60.0,
    ),
    Check(
        "backup",
        Category.WORKSPACE,
        "The newest keys are in a backup.",
        "Run `flarefleet backup FILE`; see [backup.md](backup.md).",
        _check_backup,
        Severity.WARNING,
    ),
)
DOCKER_IMAGES = Check(
    "docker-images",
    Category.DOCKER,
    "The engine has the runtime image.",
    "Run `flarefleet images build`, or `images load` where there is no package index.",
    _check_images,
    Severity.WARNING,
)
SITES = Check(
    "sites-ready",
    Category.FEDERATION,
    "The server and every site of the running federation are ready.",
    "See the reason in the message and the log: `flarefleet logs NAME`.",
    _check_sites,
    deadline=SECONDS_FOR_SITES,
)
