"""Objects of the jobs of a federation in a cluster, and the submission of a job."""

from __future__ import annotations

from typing import Any

from tests.federation.federation import SERVER, Federation
from tests.kubernetes.cluster import Cluster

TIMEOUT = 240
"""Timeout in seconds on a busy machine."""
TASK_TIMEOUT = "7200"
"""Setting of the server that its job pods must receive."""
PARTICIPANTS = (SERVER, "site-1", "site-2", "site-3")


def namespace(federation: Federation, name: str) -> str:
    return f"{federation.project.name}-{name}"


def job_pods(federation: Federation, cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """Return the current job pods of a server or site."""
    return cluster.get("pods", "-n", namespace(federation, name), "-l", "flare/role=job")["items"]


def pod_uids(federation: Federation, cluster: Cluster, name: str) -> set[str]:
    """Return the uids of the current job pods of a server or site."""
    return {pod["metadata"]["uid"] for pod in job_pods(federation, cluster, name)}


def secrets(federation: Federation, cluster: Cluster, name: str) -> set[str]:
    """Return the Secrets of a server or site, without those of helm."""
    items = cluster.get("secrets", "-n", namespace(federation, name))["items"]
    return {one["metadata"]["name"] for one in items if one["type"] == "Opaque"}


def is_clean(federation: Federation, cluster: Cluster) -> bool:
    return all(
        not job_pods(federation, cluster, name) and len(secrets(federation, cluster, name)) == 1
        for name in PARTICIPANTS
    )
