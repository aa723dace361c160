"""Runtime `kubernetes`: the federation as Helm releases, a namespace for each participant."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from deploy.errors import Failed, InputError
from deploy.hosts import local_server_host
from deploy.runtimes.admin_kit import kit_for_host
from deploy.runtimes.event_files import update_copy
from deploy.runtimes.follow import lines_of
from deploy.runtimes.kubernetes import connectivity, installation
from deploy.runtimes.kubernetes.cluster import ANSWER_SECONDS, Cluster, current_context, explained
from deploy.runtimes.kubernetes.helm import Helm, find_helm
from deploy.runtimes.kubernetes.namespaces import ensure_namespace, remove_if_empty
from deploy.runtimes.kubernetes.observation import CONTAINER, observe, tail
from deploy.runtimes.kubernetes.plan import Member, Plan, RunFolder, make_plan, participants
from deploy.runtimes.kubernetes.port_forward import ADMIN, FEDERATION, TELEMETRY, Doors
from deploy.runtimes.protocol import FederationStatus, Progress, SiteState, SiteStatus
from deploy.runtimes.readiness import wait_until_ready
from deploy.runtimes.records import locked
from fl_app.contract import ANALYTICS_FOLDER, WORKSPACE_PATH

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.release.participant import Participant
    from deploy.workspace import Workspace

POLL_SECONDS = 0.5
AT_ONCE = 8
"""Requests to clusters at the same time."""
HELMS_AT_ONCE = min(4, os.cpu_count() or 1)
"""Each computes for as long as it runs: with more of them than cores, the first would be done no sooner."""
PULL_SECONDS = 300.0
"""How long `up` waits where nothing else is said: nodes may have to fetch an image of a gigabyte."""
FOLLOW_SECONDS = 7 * 24 * 3600.0
"""A log may be silent for so long and is followed all the same."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class KubernetesRuntime:
    """A federation in clusters, as `deploy.runtimes.protocol.Runtime` promises it.

    Args:
        project: what project.yml says.
        workspace: the federation's folder.
        contexts: NAME -> context of the kubeconfig; the empty name stands for all. Who is not named stays
            where it is, or goes to the current context.
    """

    name = "kubernetes"

    def __init__(
        self, project: Project, workspace: Workspace, contexts: dict[str, str] | None = None
    ) -> None:
        self.project = project
        self.workspace = workspace
        self.contexts = contexts or {}
        self.folder = RunFolder(workspace.run(self.name))
        self._doors = Doors(self.folder.root)
        self._clusters: dict[str, Cluster] = {}

    def up(self, progress: Progress | None = None, timeout: float = PULL_SECONDS) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.up`."""
        helm = find_helm()
        self.folder.make()
        with explained(), locked(self.folder.lock):
            before = self.folder.plan()
            plan = self._new_plan(before)
            _each(self._prepare, plan.members)
            self._remove([one for one in before.members if one not in plan.members], helm)
            self.folder.write_plan(plan)
            self._install(plan, helm)
            _each(self._restart_if_it_ended, plan.members)
            wait_until_ready(self.status, self._log_end, progress, timeout, POLL_SECONDS)
            self._begin_to_open_doors(plan)
            self._doors.wait_until_open()
            return self.status()

    def down(self) -> None:
        """See `deploy.runtimes.protocol.Runtime.down`."""
        self._take_down(lambda member: None)

    def forget(self) -> None:
        """Stop all, and remove the workspaces too: every job, model and log that is kept in a volume."""
        self._take_down(lambda member: installation.remove_volumes(self._cluster(member), member))
        self.folder.forget_plan()

    def status(self) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.status`."""
        plan = self.folder.plan()
        if not plan.members:
            return FederationStatus(project=self.project.name, runtime=self.name)
        with explained():
            sites = _each(self._observe, plan.members)
        return FederationStatus(
            project=self.project.name,
            runtime=self.name,
            server_address=self._doors.find(plan.server.name, FEDERATION),
            sites=tuple(sites),
        )

    def logs(self, site: str, follow: bool = False) -> Iterator[str]:
        """See `deploy.runtimes.protocol.Runtime.logs`."""
        member = self._member(site)
        with explained():
            cluster = self._cluster(member)
            pods = cluster.pods(member.namespace, member.selector)
            if not pods:
                raise Failed(f"{site} has no pod: {observe(cluster, member).reason}")
            name = pods[0].metadata.name
            response = cluster.core.read_namespaced_pod_log(
                name,
                member.namespace,
                container=CONTAINER,
                follow=follow,
                _preload_content=False,
                _request_timeout=(ANSWER_SECONDS, FOLLOW_SECONDS) if follow else None,
            )
        return _lines(response.stream())

    def admin_kit(self, admin: str) -> Path:
        """See `deploy.runtimes.protocol.Runtime.admin_kit`."""
        plan = self.folder.plan()
        with explained():
            installed = plan.members and self._observe(plan.server).state is not SiteState.STOPPED
            if not installed:
                raise Failed("The federation is not up: flarefleet up --runtime kubernetes")
            self._begin_to_open_doors(plan)
            self._doors.wait_until_open()
        server = plan.server.name
        address = self._doors.find(server, ADMIN) or self._doors.find(server, FEDERATION)
        assert address is not None
        return kit_for_host(
            self.workspace.kit(admin),
            local_server_host(self.project),
            self.folder.admin(admin),
            port=int(address.rpartition(":")[2]),
        )

    def analytics(self) -> Path | None:
        """See `deploy.runtimes.protocol.Runtime.analytics`: a copy, made now."""
        plan = self.folder.plan()
        if not plan.members:
            return None
        copy = self.folder.root / ANALYTICS_FOLDER
        server = plan.server
        with explained():
            pod = self._cluster(server).running_pod(server.namespace, server.selector)
            if pod is None:
                return copy if copy.is_dir() else None
            where, read_from = (server.namespace, pod, CONTAINER), self._cluster(server).read_from
            source = str(WORKSPACE_PATH / ANALYTICS_FOLDER)
            return update_copy(copy, source, lambda command: read_from(*where, *command))

    def _new_plan(self, before: Plan) -> Plan:
        return make_plan(self._participants, self.contexts, before, current_context())

    @cached_property
    def _participants(self) -> dict[str, Participant]:
        return participants(self.project, self.workspace)

    @cached_property
    def _authority(self) -> str:
        """The fingerprint of the federation's root certificate."""
        certificate = self.workspace.kit(self.project.server.name) / "startup" / "rootCA.pem"
        return hashlib.sha256(certificate.read_bytes()).hexdigest()[:32]

    def _cluster(self, member: Member) -> Cluster:
        if member.context not in self._clusters:
            self._clusters[member.context] = Cluster(member.context)
        return self._clusters[member.context]

    def _member(self, site: str) -> Member:
        member = self.folder.plan().member(site)
        if member is not None:
            return member
        if site not in self._participants:
            raise InputError(f"There is no site {site}; there are: {', '.join(self._participants)}")
        raise Failed(f"{site} is not installed: flarefleet up --runtime kubernetes")

    def _prepare(self, member: Member) -> None:
        """Its namespace; nothing is installed while another's is refused."""
        ensure_namespace(self._cluster(member), member, self.project.name, self._authority)

    def _install(self, plan: Plan, helm: Helm) -> None:
        """The server is the first, since all sites wait for it; but they are installed beside it, unless they
        need to know the port that its node gave it.
        """
        server = self._participants[plan.server.name]
        values = connectivity.server_values(plan, server)
        sites = [member for member in plan.members if member != plan.server]
        address = None

        def install(member: Member) -> None:
            added = (
                values if member == plan.server else connectivity.site_values(plan, member, server, address)
            )
            self._install_one(helm, member, added)

        if values:
            install(plan.server)
            address = connectivity.find_node_address(self._cluster(plan.server), plan.server)
            _each(install, sites, HELMS_AT_ONCE)
        else:
            _each(install, [plan.server, *sites], HELMS_AT_ONCE)

    def _install_one(self, helm: Helm, member: Member, values: dict[str, object]) -> None:
        participant = self._participants[member.name]
        cluster = self._cluster(member)
        added = self.folder.values(member.name)
        installation.write_values(added, participant, values)
        installation.ensure_key(cluster, member, participant)
        files = installation.value_files(self.workspace.release / member.name, added)
        installation.ensure_release(helm, cluster, member, participant, files)

    def _restart_if_it_ended(self, member: Member) -> None:
        status = self._observe(member)
        if status.state in (SiteState.EXITED, SiteState.CANNOT_START) and status.where:
            installation.restart(self._cluster(member), member, status.where.rpartition("/")[2])

    def _observe(self, member: Member) -> SiteStatus:
        status = observe(self._cluster(member), member)
        door = self._doors.find(member.name, TELEMETRY) if status.where else None
        return status.model_copy(update={"telemetry_url": f"http://{door}"}) if door else status

    def _begin_to_open_doors(self, plan: Plan) -> None:
        server = self.project.server
        with locked(self.folder.root / ".doors"):
            self._doors.open(plan, server.fed_learn_port, server.admin_port)

    def _take_down(self, further: Callable[[Member], None]) -> None:
        plan = self.folder.plan()
        if not plan.members:
            return
        helm = find_helm()
        with explained(), locked(self.folder.lock):
            self._doors.close()
            self._remove(plan.members, helm, further)

    def _remove(
        self, members: Iterable[Member], helm: Helm, further: Callable[[Member], None] = lambda member: None
    ) -> None:
        def remove(member: Member) -> None:
            cluster = self._cluster(member)
            installation.remove(helm, cluster, member, f"{member.release}-key")
            further(member)

        members = tuple(members)
        _each(remove, members, HELMS_AT_ONCE)
        for member in members:
            remove_if_empty(self._cluster(member), member)

    def _log_end(self, name: str) -> list[str]:
        member = self._member(name)
        return tail(self._cluster(member), member)


def _each(
    action: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int = AT_ONCE
) -> list[_Result]:
    """What an action gives for each item, several at a time; the first error of all is raised in the end."""
    with ThreadPoolExecutor(at_once) as pool:
        return [done.result() for done in [pool.submit(action, item) for item in items]]


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines in what comes in pieces of any length; a log that is cut off ends there."""
    from urllib3.exceptions import HTTPError

    with contextlib.suppress(OSError, HTTPError):
        yield from lines_of(chunks)
