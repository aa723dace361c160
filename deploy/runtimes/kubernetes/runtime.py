"""Run a federation as Helm releases, each in its own namespace by default."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.errors import Failed
from deploy.hosts import local_server_host
from deploy.release.participant import Participant, participants_of
from deploy.runtimes import records
from deploy.runtimes.admin_kit import kit_for_host
from deploy.runtimes.event_files import update_copy
from deploy.runtimes.kubernetes import connectivity, installation
from deploy.runtimes.kubernetes.checks import CHECKS
from deploy.runtimes.kubernetes.cluster import ANSWER_SECONDS, Cluster, current_context, explained_errors
from deploy.runtimes.kubernetes.concurrency import each
from deploy.runtimes.kubernetes.helm import Helm, find_helm
from deploy.runtimes.kubernetes.namespaces import ensure_namespace, remove_if_empty
from deploy.runtimes.kubernetes.observation import observe
from deploy.runtimes.kubernetes.plan import InstallationPlan, ReleaseTarget, make_plan
from deploy.runtimes.kubernetes.pod_log import CONTAINER, lines, log_options, tail
from deploy.runtimes.kubernetes.port_forward import ADMIN, FEDERATION, TELEMETRY, PortForwarder
from deploy.runtimes.protocol import (
    WHOLE_LOG,
    FederationStatus,
    LogPart,
    SiteState,
    SiteStatus,
    StatusCallback,
)
from deploy.runtimes.readiness import wait_until_ready
from fl_app.checks.check import require
from fl_app.contract import ANALYTICS_FOLDER, WORKSPACE_PATH

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.workspace import Workspace

POLL_SECONDS = 0.5
MAX_HELM_PROCESSES = min(4, os.cpu_count() or 1)
"""Concurrent helm processes. Each one is bound by the CPU."""
UP_SECONDS = 300.0
"""Default timeout of `up`: nodes may have to pull an image of a gigabyte."""
FOLLOW_SECONDS = 7 * 24 * 3600.0
"""Read timeout while a log is followed."""


class KubernetesRuntime:
    """A federation in clusters. It implements `deploy.runtimes.protocol.Runtime`.

    Args:
        contexts: NAME -> context of the kubeconfig; the empty name stands for all. See `make_plan` for the
            default.
    """

    name = "kubernetes"

    def __init__(
        self, project: Project, workspace: Workspace, contexts: dict[str, str] | None = None
    ) -> None:
        self.project = project
        self.workspace = workspace
        self.contexts = contexts or {}
        self.folder = workspace.run(self.name)
        self._plan_file = self.folder / "plan.json"
        self._lock = self.folder / ".lock"
        self._forwarder = PortForwarder(self.folder)
        self._clusters: dict[str, Cluster] = {}
        self._clusters_lock = threading.Lock()

    def up(
        self, progress: StatusCallback | None = None, timeout: float = UP_SECONDS, only: Sequence[str] = ()
    ) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.up`."""
        with explained_errors(), records.locked(self._lock):
            require(CHECKS, self)
            helm = find_helm()
            before = self._plan()
            plan = self.next_plan().keeping(before, only)
            chosen = tuple(one for one in plan.members if one.name in only or not only)
            needs_address = connectivity.needs_service_address(plan, self.participants[plan.server.name])
            each(
                lambda one: ensure_namespace(self.cluster(one), one, self.project.name, self._authority),
                chosen,
            )
            self._remove([one for one in before.members if one not in plan.members], helm)
            records.write(self._plan_file, plan)
            each(self._scale_up, chosen)
            self._install(plan, chosen, helm, needs_address)
            each(self._restart_if_exited, chosen)
            wait_until_ready(self.status, self._log_end, progress, timeout, POLL_SECONDS, only=only)
            self._start_port_forwards(plan)
            return self.status().of(only)

    def down(self) -> None:
        """See `deploy.runtimes.protocol.Runtime.down`."""
        self._take_down()

    def stop(self, names: Sequence[str]) -> None:
        """See `deploy.runtimes.protocol.Runtime.stop`. The releases stay installed, without pods."""
        targets = [one for one in self._plan().members if one.name in names]
        with explained_errors(), records.locked(self._lock):
            each(lambda one: installation.scale_down(self.cluster(one), one), targets)

    def forget(self) -> None:
        """See `deploy.runtimes.protocol.KeepsVolumes.forget`."""
        self._take_down(with_volumes=True)
        self._plan_file.unlink(missing_ok=True)

    def status(self) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.status`."""
        plan = self._plan()
        if not plan.members:
            return FederationStatus(project=self.project.name, runtime=self.name)
        with explained_errors():
            sites = each(self._observe, plan.members)
        return FederationStatus(
            project=self.project.name,
            runtime=self.name,
            server_address=self._forwarder.find(plan.server.name, FEDERATION),
            sites=tuple(sites),
        )

    def logs(self, site: str, follow: bool = False, part: LogPart = WHOLE_LOG) -> Iterator[str]:
        """See `deploy.runtimes.protocol.Runtime.logs`."""
        target = self.target(site)
        with explained_errors():
            cluster = self.cluster(target)
            pods = cluster.pods(target.namespace, target.selector)
            if not pods:
                raise Failed(f"{site} has no pod: {observe(cluster, target).reason}")
            name = pods[0].metadata.name
            response = cluster.core.read_namespaced_pod_log(
                name,
                target.namespace,
                container=CONTAINER,
                follow=follow,
                **log_options(part),
                _preload_content=False,
                _request_timeout=(ANSWER_SECONDS, FOLLOW_SECONDS) if follow else None,
            )
        return lines(response.stream())

    def admin_kit(self, admin: str) -> Path:
        """See `deploy.runtimes.protocol.Runtime.admin_kit`."""
        plan = self._plan()
        with explained_errors():
            installed = plan.members and self._observe(plan.server).state is not SiteState.STOPPED
            if not installed:
                raise Failed("The federation is not running; start it: flarefleet up --runtime kubernetes")
            self._start_port_forwards(plan)
        server = plan.server.name
        address = self._forwarder.find(server, ADMIN) or self._forwarder.find(server, FEDERATION)
        assert address is not None
        return kit_for_host(
            self.workspace.kit(admin),
            local_server_host(self.project),
            self.folder / "admin" / admin,
            port=int(address.rpartition(":")[2]),
        )

    def analytics(self) -> Path | None:
        """See `deploy.runtimes.protocol.Runtime.analytics`. The folder is a copy."""
        plan = self._plan()
        if not plan.members:
            return None
        copy = self.folder / ANALYTICS_FOLDER
        server = plan.server
        with explained_errors():
            pod = self.cluster(server).running_pod(server.namespace, server.selector)
            if pod is None:
                return copy if copy.is_dir() else None
            run = partial(self.cluster(server).read_from, server.namespace, pod, CONTAINER)
            return update_copy(copy, str(WORKSPACE_PATH / ANALYTICS_FOLDER), lambda command: run(*command))

    def next_plan(self) -> InstallationPlan:
        """Return the plan that `up` would install. See `make_plan` and `current_context` for errors."""
        return make_plan(self.participants, self.contexts, self._plan(), current_context())

    def _plan(self) -> InstallationPlan:
        """Return the plan that `up` installed; it has no members before the first `up`."""
        return records.read(self._plan_file, InstallationPlan) or InstallationPlan()

    @cached_property
    def participants(self) -> dict[str, Participant]:
        """The server and every site by name, as their releases see them."""
        return participants_of(self.project, self.workspace)

    @cached_property
    def _authority(self) -> str:
        """Fingerprint of the federation's root certificate."""
        certificate = self.workspace.kit(self.project.server.name) / "startup" / "rootCA.pem"
        return hashlib.sha256(certificate.read_bytes()).hexdigest()[:32]

    def cluster(self, target: ReleaseTarget) -> Cluster:
        """Return a client of the cluster of a release."""
        # Clients share the files into which the Kubernetes client writes the certificates of a kubeconfig: a
        # second thread would read a file that is still empty.
        with self._clusters_lock:
            if target.context not in self._clusters:
                self._clusters[target.context] = Cluster(target.context)
            return self._clusters[target.context]

    def target(self, site: str) -> ReleaseTarget:
        """Return where a server or site is installed.

        Raises:
            InputError: no such server or site.
            Failed: it is not installed.
        """
        target = self._plan().member(site)
        if target is not None:
            return target
        self.project.parent(site)  # rejects an unknown name
        raise Failed(f"{site} is not installed; install it: flarefleet up --runtime kubernetes")

    def _scale_up(self, target: ReleaseTarget) -> None:
        installation.scale(self.cluster(target), target, 1)

    def _install(
        self, plan: InstallationPlan, chosen: Sequence[ReleaseTarget], helm: Helm, needs_address: bool
    ) -> None:
        """Install the server and the sites concurrently, or the server first if sites need its address."""
        server = self.participants[plan.server.name]
        addresses = connectivity.ServiceAddresses()

        def install(target: ReleaseTarget) -> None:
            if target == plan.server:
                is_node_port = connectivity.needs_node_port(plan, server)
                values = {"service": {"type": "NodePort"}} if is_node_port else {}
            else:
                values = connectivity.site_values(plan, target, server, addresses)
            participant, cluster = self.participants[target.name], self.cluster(target)
            added = self.folder / "values" / f"{target.name}.yaml"
            installation.write_values(added, participant, values)
            installation.ensure_key(cluster, target, participant)
            files = installation.value_files(self.workspace.release / target.name, added)
            installation.ensure_release(helm, cluster, target, participant, files)

        if needs_address:
            if plan.server in chosen:
                install(plan.server)
            addresses = connectivity.find_service_addresses(self.cluster(plan.server), plan, server)
        rest = [one for one in chosen if one != plan.server or not needs_address]
        each(install, rest, MAX_HELM_PROCESSES)

    def _restart_if_exited(self, target: ReleaseTarget) -> None:
        status = self._observe(target)
        if status.state in (SiteState.EXITED, SiteState.CANNOT_START) and status.where:
            # Its new pod starts at once, without the back-off of Kubernetes.
            delete, pod = self.cluster(target).core.delete_namespaced_pod, status.where.rpartition("/")[2]
            installation.ignoring_missing(partial(delete, pod, target.namespace))

    def _observe(self, target: ReleaseTarget) -> SiteStatus:
        status = observe(self.cluster(target), target)
        address = self._forwarder.find(target.name, TELEMETRY) if status.where else None
        return status.model_copy(update={"telemetry_url": f"http://{address}"}) if address else status

    def _start_port_forwards(self, plan: InstallationPlan) -> None:
        server = self.project.server
        self._forwarder.start(plan, server.fed_learn_port, server.admin_port)

    def _take_down(self, *, with_volumes: bool = False) -> None:
        plan = self._plan()
        if not plan.members:
            return
        helm = find_helm()
        with explained_errors(), records.locked(self._lock):
            self._forwarder.stop()
            self._remove(plan.members, helm, with_volumes=with_volumes)

    def _remove(self, targets: Sequence[ReleaseTarget], helm: Helm, *, with_volumes: bool = False) -> None:
        def remove(target: ReleaseTarget) -> None:
            installation.remove(helm, self.cluster(target), target)
            if with_volumes:
                installation.remove_volumes(self.cluster(target), target)

        each(remove, targets, MAX_HELM_PROCESSES)
        for target in targets:
            remove_if_empty(self.cluster(target), target)

    def _log_end(self, name: str) -> list[str]:
        return tail(self.cluster(self.target(name)), self.target(name))
