"""How sites reach their server: by its name, by its Service or, from another cluster, by a node."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploy.errors import Failed, InputError
from deploy.release.participant import Participant
from deploy.runtimes.kubernetes.cluster import Cluster
from deploy.runtimes.kubernetes.plan import Member, Plan

if TYPE_CHECKING:
    from deploy.project import Project

INSIDE = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+\.svc(\..*)?")
"""A Service's name: it means nothing outside its cluster."""
SERVICE_SECONDS = 30.0
POLL_SECONDS = 0.3


def is_known_everywhere(server: Participant) -> bool:
    """Whether project.yml's host of the server is one that any cluster can look up: a domain name or an
    address.
    """
    host = server.server_host  # of a loopback address it is the Service already
    return "." in host and not INSIDE.fullmatch(host)


def elsewhere(plan: Plan) -> tuple[Member, ...]:
    """The sites in other clusters than the server's."""
    return tuple(member for member in plan.members if member.context != plan.server.context)


def server_values(plan: Plan, server: Participant) -> dict[str, Any]:
    """What the server's release needs for it."""
    if elsewhere(plan) and not is_known_everywhere(server):
        return {"service": {"type": "NodePort"}}
    return {}


def site_values(
    plan: Plan, member: Member, server: Participant, node_address: tuple[str, int] | None
) -> dict[str, Any]:
    """What a site's release needs for it.

    Args:
        plan: where they are.
        member: the site.
        server: the server.
        node_address: as `find_node_address` found it, where a site needs that.
    """
    project = server.project
    if is_known_everywhere(server):
        return {}
    if member.context == plan.server.context:
        if "." in server.server_host:
            return {}  # the Service's name: provisioning has said all
        return _through(
            f"{server.release}.{server.namespace}.svc",
            project.server.fed_learn_port,
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": server.namespace}}},
        )
    assert node_address is not None
    host, port = node_address
    name = _certified_name(project)
    return {
        **_through(name, port, {"ipBlock": {"cidr": f"{host}/{128 if ':' in host else 32}"}}),
        "hostAliases": [{"ip": host, "hostnames": [name]}],
    }


def find_node_address(cluster: Cluster, server: Member) -> tuple[str, int]:
    """A node's address and the port at which it passes connections to the server.

    Raises:
        Failed: the server's Service has no node port, or no node is ready.
    """
    deadline = time.monotonic() + SERVICE_SECONDS
    while (port := _node_port(cluster, server)) is None:
        if time.monotonic() > deadline:
            raise Failed(
                f"The Service of {server.name} in {server.context} has no node port, by which sites of other "
                "clusters would reach it. Its values (service: type) must say NodePort or LoadBalancer, or "
                "give the server a name that they can look up: default_host in project.yml."
            )
        time.sleep(POLL_SECONDS)
    for node in cluster.core.list_node().items:
        conditions = {one.type: one.status for one in node.status.conditions or ()}
        addresses = {one.type: one.address for one in node.status.addresses or ()}
        found = addresses.get("ExternalIP") or addresses.get("InternalIP")
        if conditions.get("Ready") == "True" and found:
            return str(found), port
    raise Failed(f"No node of {server.context} is ready: kubectl --context {server.context} get nodes")


def _node_port(cluster: Cluster, server: Member) -> int | None:
    services = cluster.core.list_namespaced_service(server.namespace, label_selector=server.everything).items
    for service in services:
        for port in service.spec.ports or ():
            if port.name == "federation" and port.node_port:
                return int(port.node_port)
    return None


def _certified_name(project: Project) -> str:
    """A name of the server's certificate that may stand for a node's address in a pod's hosts file."""
    for name in (project.server_host, *project.server.host_names, project.server.name):
        if name != "localhost" and re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name):
            return name
    raise InputError(
        f"{project.path}: the server has no name that can be looked up in another cluster; add one to its "
        "host_names and provision again."
    )


def _through(host: str, port: int, peer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "server": {"address": f"{host}:{port}"},
        "networkPolicy": {"server": {"to": [dict(peer)], "ports": [port]}},
    }
