"""Run NVFlare's provisioner, with three of its builders replaced by faster or safer subclasses."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvflare.fuel.utils.class_utils import instantiate_class
from nvflare.lighter.constants import CertFileBasename, CtxKey, ParticipantType, PropKey
from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Participant
from nvflare.lighter.entity import Project as FlareProject
from nvflare.lighter.impl.cert import CertBuilder
from nvflare.lighter.impl.static_file import StaticFileBuilder
from nvflare.lighter.impl.workspace import WorkspaceBuilder
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner
from nvflare.lighter.spec import Builder
from nvflare.lighter.utils import serialize_cert, serialize_pri_key

from deploy.errors import InputError
from deploy.project import Project
from deploy.project.validation.builders import (
    CERT_BUILDER,
    HE_BUILDER,
    STATIC_FILE_BUILDER,
    WORKSPACE_BUILDER,
)
from deploy.provision.content import builders_of
from deploy.provision.encryption_context import context_builder
from deploy.provision.local import LocalBuilder
from deploy.provision.plan import ProvisionPlan
from deploy.provision.provisioner_adapters import (
    FailFastBuilder,
    ProvisioningAborted,
    SelectedProject,
)
from deploy.provision.state import CERTIFICATES, ISSUED
from fl_app.files import PRIVATE_FILE, write_atomically
from fl_app.nvflare_internals.provisioning import KitFileBuilder, RootCertBuilder

CONFIG_FOLDER = "config"
"""Folder of the configuration inside a job, as in NVFlare's project template."""

IssueProgress = Callable[[int, int], None]
"""Called with the number of issued certificates and the number of all to issue."""


@dataclass(frozen=True)
class KitBuild:
    """One run of NVFlare's provisioner."""

    project: Project
    plan: ProvisionPlan
    state: Path
    staging: Path
    progress: IssueProgress
    pool: ThreadPoolExecutor

    @property
    def kits(self) -> Path:
        """The folder of the finished kits."""
        return self.staging / "kits"


def build_kits(
    project: Project, plan: ProvisionPlan, state: Path, staging: Path, progress: IssueProgress
) -> Path:
    """Build the kits of a plan and update cert.json.

    Args:
        state: the folder of cert.json, which is replaced in one step when every kit is built.
        staging: an empty folder.

    Returns:
        The folder of the kits. It always contains the server's.

    Raises:
        InputError: a builder of NVFlare or of project.yml fails.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ThreadPoolExecutor(max_workers=cores)
    kit_build = KitBuild(project, plan, state, staging, progress, pool)
    try:
        # NVFlare prints warnings to stdout, which is for results only.
        with redirect_stdout(sys.stderr), _importable(project.path.absolute().parent):
            flare_project = SelectedProject(prepare_project(project.nvflare_document()))
            builders = [FailFastBuilder(builder, project.path) for builder in _builders(kit_build)]
            # The logger's progress messages are discarded. Errors are raised as exceptions.
            logger = logging.Logger("provisioner", logging.CRITICAL + 1)
            Provisioner(str(staging), builders).provision(flare_project, logger=logger)
    except ProvisioningAborted as aborted:
        assert aborted.__cause__ is not None
        raise aborted.__cause__ from None
    finally:
        pool.shutdown(cancel_futures=True)
    return kit_build.kits


class StagingWorkspaceBuilder(WorkspaceBuilder):
    """Select the kits to build, and leave them in the staging folder instead of the next prod_NN."""

    def __init__(self, kit_build: KitBuild, template_file: str | list[str] | None = None) -> None:
        super().__init__(template_file)
        self._names = frozenset(kit_build.plan.build)
        self._kits = kit_build.kits

    def build(self, project: SelectedProject, ctx: ProvisionContext) -> None:
        """Create the folders of the kits."""
        project.selected = self._names | {project.get_server().name}
        super().build(project, ctx)

    def finalize(self, project: SelectedProject, ctx: ProvisionContext) -> None:
        """Move the kits to the staging folder."""
        Path(ctx.get_wip_dir()).rename(self._kits)
        ctx.pop(CtxKey.WIP)
        ctx[CtxKey.CURRENT_PROD_DIR] = str(self._kits)


class ParallelCertBuilder(RootCertBuilder):
    """CertBuilder that generates keys on all cores and writes cert.json with mode 0600."""

    def __init__(self, kit_build: KitBuild, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._plan = kit_build.plan
        self._state = kit_build.state
        self._progress = kit_build.progress
        self._pool = kit_build.pool
        self._pending: dict[Future[Any], Participant] = {}

    def initialize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Load or create the authority, drop outdated certificates, and start to issue new ones."""
        if self._plan.new_authority is None:
            ctx[CtxKey.STATE] = str(self._state)
        super().initialize(project, ctx)
        ctx[CtxKey.STATE] = str(self._state)
        server = project.get_server()  # NVFlare adds the first host to the certificate itself
        server.set_prop(PropKey.HOST_NAMES, list(self._plan.specs[server.name].identity.hosts[1:]))
        for name in (*self._plan.issue, *self._plan.remove):
            self.persistent_state.content.pop(name, None)
        self.build_root(project.name)
        ctx[CtxKey.ROOT_CERT] = self.root_cert
        ctx[CtxKey.ROOT_PRI_KEY] = self.pri_key
        expires = self.root_cert.not_valid_after_utc.isoformat()
        self.persistent_state.content[ISSUED] = {"expires": expires}
        # OpenSSL generates keys without the GIL, so threads use every core while other builders write files.
        self._pending = {
            self._pool.submit(self.get_pri_key_cert, one): one
            for one in project.get_all_participants()
            if one.name in self._plan.issue
        }

    def build(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Collect the issued certificates and write each participant's key and certificate."""
        for number, future in enumerate(as_completed(self._pending), start=1):
            self._record(self._pending[future], *future.result())
            self._write(self._pending[future], ctx)
            self._progress(number, len(self._pending))
        for participant in project.get_all_participants():
            if participant.name not in self._plan.issue:
                self._write(participant, ctx)

    def finalize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Write every key and certificate to cert.json in one step."""
        content = json.dumps(self.persistent_state.content).encode()
        write_atomically(self._state / CERTIFICATES, content, PRIVATE_FILE)

    def _record(self, participant: Participant, key: Any, certificate: Any) -> None:
        name, state = participant.subject, self.persistent_state
        state.add_subject_cert(name, serialize_cert(certificate).decode("ascii"))
        state.add_subject_pri_key(name, serialize_pri_key(key).decode("ascii"))
        state.content[name][ISSUED] = {
            "identity": vars(self._plan.specs[name].identity),
            "expires": certificate.not_valid_after_utc.isoformat(),
        }

    def _write(self, participant: Participant, ctx: ProvisionContext) -> None:
        """Write key and certificate as text from cert.json: loading a key takes 30 ms, for its validation."""
        folder, name = Path(ctx.get_kit_dir(participant)), participant.subject
        is_server = participant.type == ParticipantType.SERVER
        base = CertFileBasename.SERVER if is_server else CertFileBasename.CLIENT
        (folder / f"{base}.crt").write_text(self.persistent_state.get_subject_cert(name))
        descriptor = os.open(folder / f"{base}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        with open(descriptor, "w") as key:  # noqa: PTH123
            key.write(self.persistent_state.get_subject_pri_key(name))
        if participant.type == ParticipantType.CLIENT:
            self.build_listener_certificate(participant, ctx)
        (folder / "rootCA.pem").write_bytes(self.serialized_cert)


def _builders(kit_build: KitBuild) -> list[Builder]:
    """Return the builders of project.yml in their order, with NVFlare's replaced by the subclasses above."""
    project = kit_build.project

    def create(path: str, arguments: dict[str, Any]) -> list[Builder]:
        if path == WORKSPACE_BUILDER:
            return [StagingWorkspaceBuilder(kit_build, **arguments)]
        if path == CERT_BUILDER:
            return [ParallelCertBuilder(kit_build, **arguments)]
        if path == STATIC_FILE_BUILDER:
            arguments = {"config_folder": CONFIG_FOLDER, **arguments, "scheme": project.scheme}
            return [KitFileBuilder(**arguments), LocalBuilder(project)]
        if path == HE_BUILDER:
            return [context_builder(project, kit_build.plan.context, kit_build.state)]
        try:
            builder = instantiate_class(path, arguments)
        except Exception as error:
            raise InputError(f"{project.path}: builders: {path} cannot be created: {error}") from error
        if isinstance(builder, StaticFileBuilder):
            return [builder, LocalBuilder(project)]
        if isinstance(builder, CertBuilder | WorkspaceBuilder):
            raise InputError(
                f"{project.path}: builders: {path}: Flarefleet replaces WorkspaceBuilder and CertBuilder, so "
                "subclasses of them are not supported; derive it from nvflare.lighter.spec.Builder instead"
            )
        return [builder]

    named = builders_of(project)
    paths = [builder["path"] for builder in named]
    missing = [{"path": path} for path in (WORKSPACE_BUILDER, CERT_BUILDER) if path not in paths]
    builders = [
        builder
        for entry in (*missing, *named)
        for builder in create(entry["path"], dict(entry.get("args") or {}))
    ]
    if not any(isinstance(builder, LocalBuilder) for builder in builders):
        raise InputError(f"{project.path}: builders: {STATIC_FILE_BUILDER} or a subclass of it is missing")
    return builders


@contextmanager
def _importable(folder: Path) -> Any:
    """Add the folder of project.yml to Python's path for its builders, as `nvflare provision` does."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
