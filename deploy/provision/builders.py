"""NVFlare's provisioner, run with builders of ours in the place of three of its own."""

from __future__ import annotations

import json
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
from deploy.provision.content import CERT_BUILDER, STATIC_FILE_BUILDER, WORKSPACE_BUILDER, builders_of
from deploy.provision.files import SECRET_FILE, write_secret
from deploy.provision.guarded_builders import Guarded, Selection, Silence, Stopped
from deploy.provision.local import LocalBuilder
from deploy.provision.plan import Plan
from deploy.provision.state import CERTIFICATES, note_authority, note_issued
from fl_app.nvflare_internals.provisioning import KitFileBuilder, RootCertBuilder

CONFIG_FOLDER = "config"
"""Where a job's configuration lies in it; NVFlare's own template says the same."""

Issued = Callable[[int, int], None]
"""Called with how many certificates are made, of how many."""


@dataclass(frozen=True)
class Order:
    """What is to be built, and where."""

    project: Project
    plan: Plan
    state: Path
    staging: Path
    issued: Issued
    pool: ThreadPoolExecutor

    @property
    def kits(self) -> Path:
        """Where the kits lie when they are made."""
        return self.staging / "kits"


def build_kits(project: Project, plan: Plan, state: Path, staging: Path, issued: Issued) -> Path:
    """Let NVFlare make the kits of the plan, and cert.json.

    Args:
        state: where cert.json is; it is replaced, at once, when every kit is made.
        staging: an empty folder of ours.

    Returns:
        The folder that holds the kits; the server's is always among them.

    Raises:
        InputError: NVFlare, or a builder of project.yml's own, refuses what it was given.
    """
    pool = ThreadPoolExecutor(max_workers=_cores())
    order = Order(project, plan, state, staging, issued, pool)
    try:
        # NVFlare prints its warnings; stdout is for results.
        with redirect_stdout(sys.stderr), _importable(project.path.absolute().parent):
            _build(order)
    finally:
        pool.shutdown(cancel_futures=True)
    return order.kits


def _build(order: Order) -> None:
    flare_project = Selection(prepare_project(order.project.nvflare_document()))
    builders = [Guarded(builder, order.project.path) for builder in _builders(order)]
    try:
        Provisioner(str(order.staging), builders).provision(flare_project, logger=Silence())
    except Stopped as stopped:
        assert stopped.__cause__ is not None
        raise stopped.__cause__ from None


class StagingBuilder(WorkspaceBuilder):
    """Selects whose kits are made, and leaves them in a folder of ours instead of a next prod_NN."""

    def __init__(self, order: Order, template_file: str | list[str] | None = None) -> None:
        super().__init__(template_file)
        self._names = frozenset(order.plan.make)
        self._kits = order.kits

    def build(self, project: Selection, ctx: ProvisionContext) -> None:
        """Make the folders of the kits."""
        project.selected = self._names | {project.get_server().name}
        super().build(project, ctx)

    def finalize(self, project: Selection, ctx: ProvisionContext) -> None:
        """Hand the kits over."""
        Path(ctx.get_wip_dir()).rename(self._kits)
        ctx.pop(CtxKey.WIP)
        ctx[CtxKey.CURRENT_PROD_DIR] = str(self._kits)


class PooledCertBuilder(RootCertBuilder):
    """NVFlare's, with keys made on all cores, stored keys written as they are, and a state of 0600."""

    def __init__(self, order: Order, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._plan = order.plan
        self._state = order.state
        self._issued = order.issued
        self._pool = order.pool
        self._pending: dict[Future[Any], Participant] = {}

    def initialize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Load the authority, or make a new one; forget whom it must not know; begin to issue."""
        if self._plan.new_authority is None:
            ctx[CtxKey.STATE] = str(self._state)
        super().initialize(project, ctx)
        ctx[CtxKey.STATE] = str(self._state)
        server = project.get_server()
        if server is not None:  # NVFlare puts the first of the hosts into the certificate by itself
            server.set_prop(PropKey.HOST_NAMES, list(self._plan.wanted[server.name].identity.hosts[1:]))
        for name in (*self._plan.issue, *self._plan.retire):
            self.persistent_state.content.pop(name, None)
        self.build_root(project.name)
        ctx[CtxKey.ROOT_CERT] = self.root_cert
        ctx[CtxKey.ROOT_PRI_KEY] = self.pri_key
        note_authority(self.persistent_state.content, self.root_cert.not_valid_after_utc)
        # OpenSSL makes keys without Python's global lock, so that threads use every core; they begin now,
        # while other builders write their files.
        self._pending = {
            self._pool.submit(self.get_pri_key_cert, one): one
            for one in project.get_all_participants()
            if one.name in self._plan.issue
        }

    def build(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Collect what was issued, and write each participant's pair."""
        for number, future in enumerate(as_completed(self._pending), start=1):
            self._remember(self._pending[future], *future.result())
            self._write(self._pending[future], ctx)
            self._issued(number, len(self._pending))
        for participant in project.get_all_participants():
            if participant.name not in self._plan.issue:
                self._write(participant, ctx)

    def finalize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Keep every key and certificate, at once."""
        write_secret(self._state / CERTIFICATES, json.dumps(self.persistent_state.content).encode())

    def _remember(self, participant: Participant, key: Any, certificate: Any) -> None:
        name, state = participant.subject, self.persistent_state
        state.add_subject_cert(name, serialize_cert(certificate).decode("ascii"))
        state.add_subject_pri_key(name, serialize_pri_key(key).decode("ascii"))
        note_issued(state.content, name, self._plan.wanted[name].identity, certificate.not_valid_after_utc)

    def _write(self, participant: Participant, ctx: ProvisionContext) -> None:
        """Write key and certificate as the state holds them: to load a key is to check it for 30 ms."""
        folder, name = Path(ctx.get_kit_dir(participant)), participant.subject
        is_server = participant.type == ParticipantType.SERVER
        base = CertFileBasename.SERVER if is_server else CertFileBasename.CLIENT
        (folder / f"{base}.crt").write_text(self.persistent_state.get_subject_cert(name))
        descriptor = os.open(folder / f"{base}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_FILE)
        with open(descriptor, "w") as key:  # noqa: PTH123
            key.write(self.persistent_state.get_subject_pri_key(name))
        if participant.type in (ParticipantType.CLIENT, ParticipantType.RELAY):
            self.build_listener_certificate(participant, ctx)
        (folder / "rootCA.pem").write_bytes(self.serialized_cert)


def _builders(order: Order) -> list[Builder]:
    """The builders of project.yml in their order, with ours in the place of NVFlare's."""
    project = order.project

    def ours(path: str, arguments: dict[str, Any]) -> list[Builder]:
        if path == WORKSPACE_BUILDER:
            return [StagingBuilder(order, **arguments)]
        if path == CERT_BUILDER:
            return [PooledCertBuilder(order, **arguments)]
        if path == STATIC_FILE_BUILDER:
            arguments = {"config_folder": CONFIG_FOLDER, **arguments, "scheme": project.scheme}
            return [KitFileBuilder(**arguments), LocalBuilder(project)]
        try:
            builder = instantiate_class(path, arguments)
        except Exception as error:
            raise InputError(f"{project.path}: builders: {path} cannot be made: {error}") from error
        if isinstance(builder, StaticFileBuilder):
            return [builder, LocalBuilder(project)]
        if isinstance(builder, CertBuilder | WorkspaceBuilder):
            raise InputError(
                f"{project.path}: builders: {path}: Flarefleet lays out kits and keeps keys by itself; "
                "derive it from nvflare.lighter.spec.Builder instead"
            )
        return [builder]

    named = builders_of(project)
    paths = [builder["path"] for builder in named]
    missing = [{"path": path} for path in (WORKSPACE_BUILDER, CERT_BUILDER) if path not in paths]
    builders = [
        builder
        for entry in (*missing, *named)
        for builder in ours(entry["path"], dict(entry.get("args") or {}))
    ]
    if not any(isinstance(builder, LocalBuilder) for builder in builders):
        raise InputError(
            f"{project.path}: builders: {STATIC_FILE_BUILDER}, or a class derived from it, is missing"
        )
    return builders


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _importable(folder: Path) -> Any:
    """Let builders beside project.yml be found, as `nvflare provision` does."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
