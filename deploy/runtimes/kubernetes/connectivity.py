"""Choose how each site reaches the server: by the server's Service, its host name, or a node port.

A site in the server's cluster always uses the Service. A site in another cluster uses the host name if other
clusters can look it up, and otherwise a node port of the server's cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploy.errors import Failed, InputError
from deploy.hosts import SERVICE_NAME, address_of, is_loopback, refuse_loopback_server
from deploy.release.participant import Participant
from deploy.release.values import server_peers
from deploy.runtimes.kubernetes.cluster import Cluster
from deploy.runtimes.kubernetes.plan import InstallationPlan, ReleaseTarget
from deploy.runtimes.polling import poll_until

if TYPE_CHECKING:
    from deploy.project import Project

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
SERVICE_SECONDS = 30.0
POLL_SECONDS = 0.3


@dataclass(frozen=True)
class ServiceAddresses:
    """Address and port of the server's Service for sites that cannot dial it by its name."""

    local: tuple[str, int] | None = None
    """Cluster IP, for sites in the server's cluster."""
    remote: tuple[str, int] | None = None
    """Address of a node and node port, for sites in other clusters."""


def is_public(server: Participant) -> bool:
    """Return whether other clusters can look up the server's host: a domain name or an address."""
    host = server.server_host  # the Service if project.yml has a loopback address
    return "." in host and not SERVICE_NAME.fullmatch(host)


def needs_service_address(plan: InstallationPlan, server: Participant) -> bool:
    """Return whether sites need an address of the server's Service, so that the server is installed first.

    Raises:
        InputError: they do, and the server's certificate has no host name for it; or no site can reach it.
    """
    refuse_loopback_server(server.project)
    if not needs_node_port(plan, server) and not _needs_cluster_ip(server):
        return False
    _certified_name(server.project)
    return True


def find_service_addresses(cluster: Cluster, plan: InstallationPlan, server: Participant) -> ServiceAddresses:
    """Return the addresses that sites need.

    Raises:
        Failed: the Service has no such address, or no node is ready.
    """
    local = remote = None
    if _needs_cluster_ip(server):
        ip = _find(cluster, plan.server, lambda service, _port: service.spec.cluster_ip)
        local = ip, server.project.server.fed_learn_port
    if needs_node_port(plan, server):
        remote = _ready_node(cluster), int(_find(cluster, plan.server, lambda _service, port: port.node_port))
    return ServiceAddresses(local, remote)


def site_values(
    plan: InstallationPlan, site: ReleaseTarget, server: Participant, addresses: ServiceAddresses
) -> dict[str, Any]:
    """Return the values by which a site reaches the server, whose Service has these addresses."""
    is_remote = site.context != plan.server.context
    if is_remote and is_public(server):
        return {}
    address = addresses.remote if is_remote else addresses.local
    if address is None and SERVICE_NAME.fullmatch(server.server_host):
        return {}  # the release's own values name the Service
    host, port = _service(server), server.project.server.fed_learn_port
    peers = server_peers(host)
    aliases = {}
    if address is not None:
        ip, port = address
        host = _certified_name(server.project)
        aliases = {"hostAliases": [{"ip": ip, "hostnames": [host]}]}
        if is_remote:
            peers = server_peers(ip)
    return {
        "server": {"address": f"{host}:{port}"},
        "networkPolicy": {"server": {"to": peers, "ports": [port]}},
        **aliases,
    }


def needs_node_port(plan: InstallationPlan, server: Participant) -> bool:
    """Return whether sites in other clusters reach the server by a node port only."""
    return bool(plan.remote_sites) and not is_public(server)


def _needs_cluster_ip(server: Participant) -> bool:
    """Return whether sites in the server's cluster cannot dial the Service by its name.

    gRPC requires the dialled name in the server's certificate; the other drivers do not.
    """
    names = _names(server.project)
    is_certified = _service(server) in names or SERVICE_NAME.fullmatch(server.project.server_host)
    return "grpc" in server.project.scheme and not is_certified


def _service(server: Participant) -> str:
    return f"{server.release}.{server.namespace}.svc"


def _names(project: Project) -> tuple[str, ...]:
    return project.server_host, *project.server.host_names, project.server.name


def _certified_name(project: Project) -> str:
    """Return a name of the server's certificate that a pod's hosts file can map to an address."""
    for name in _names(project):
        if not is_loopback(name) and HOST_NAME.fullmatch(name) and address_of(name) is None:
            return name
    raise InputError(
        f"{project.path}: the server's certificate has no host name that pods can look up. Add one to the "
        "server's host_names and provision again."
    )


def _find(cluster: Cluster, server: ReleaseTarget, address_of: Callable[[Any, Any], Any]) -> Any:
    """Return an address of the server's Service and its port `federation`."""

    def look() -> Any:
        core, selector = cluster.core, server.instance_selector
        services = core.list_namespaced_service(server.namespace, label_selector=selector).items
        ports = [(one, port) for one in services for port in one.spec.ports or ()]
        found = (address_of(service, port) for service, port in ports if port.name == "federation")
        return next((address for address in found if address not in (None, "", "None")), None)

    if (found := poll_until(look, SERVICE_SECONDS, POLL_SECONDS)) is None:
        raise Failed(
            f"The Service of {server.name} in {server.context} has no address that sites can use. Its value "
            "service.type must be ClusterIP or, for sites in other clusters, NodePort or LoadBalancer. "
            "Otherwise give the server a public host name: default_host in project.yml."
        )
    return found


def _ready_node(cluster: Cluster) -> str:
    for node in cluster.core.list_node().items:
        conditions = {one.type: one.status for one in node.status.conditions or ()}
        addresses = {one.type: one.address for one in node.status.addresses or ()}
        found = addresses.get("ExternalIP") or addresses.get("InternalIP")
        if conditions.get("Ready") == "True" and found:
            return str(found)
    raise Failed(f"No node of {cluster.context} is ready: kubectl --context {cluster.context} get nodes")
