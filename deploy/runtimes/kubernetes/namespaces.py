"""Create the namespaces of a federation, and delete them when they are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes.client.exceptions import ApiException

from deploy.errors import Failed, InputError
from deploy.runtimes.kubernetes.cluster import CONFLICT, NOT_FOUND, Cluster
from deploy.runtimes.polling import poll_until

if TYPE_CHECKING:
    from deploy.runtimes.kubernetes.plan import ReleaseTarget

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "flarefleet"
LABEL_PROJECT = "app.kubernetes.io/part-of"
LABEL_RESTRICTED = "pod-security.kubernetes.io/enforce"
ANNOTATION_AUTHORITY = "flare/authority"
"""Fingerprint of the certificate authority, which tells two federations of the same name apart."""
DEFAULT_CONFIG_MAP = "kube-root-ca.crt"
"""A ConfigMap that Kubernetes puts into every namespace."""
TERMINATING = "Terminating"
GONE_SECONDS = 120.0
POLL_SECONDS = 0.3


def ensure_namespace(cluster: Cluster, target: ReleaseTarget, project: str, authority: str) -> None:
    """Create the namespace of a server or site if it is missing, with Pod Security `restricted`.

    A namespace that Flarefleet did not create is used unchanged. Several participants may share a namespace,
    and several calls may run at the same time.

    Raises:
        InputError: the namespace belongs to another federation.
        Failed: the namespace is being deleted and does not go away.
    """
    found = _wait_while_terminating(cluster, target.namespace)
    if found is None:
        found = _create_or_get(cluster, target.namespace, project, authority)
    labels, annotations = found.metadata.labels or {}, found.metadata.annotations or {}
    if labels.get(LABEL_MANAGED_BY) != MANAGER:
        return
    owner = labels.get(LABEL_PROJECT), annotations.get(ANNOTATION_AUTHORITY)
    if owner != (project, authority):
        other = (
            f"the federation {owner[0]}" if owner[0] != project else f"another federation called {project}"
        )
        raise InputError(
            f"The namespace {target.namespace} in {target.context} belongs to {other}. Choose another "
            f"namespace for {target.name} in project.yml (deployment: sites: {target.name}: namespace) and "
            "provision again; or remove the other federation: run `flarefleet down --volumes` in its folder "
            f"or, if that folder is gone, kubectl delete namespace {target.namespace}"
        )


def remove_if_empty(cluster: Cluster, target: ReleaseTarget) -> None:
    """Delete the namespace if Flarefleet created it and no volume, pod, Secret or ConfigMap is left in it."""
    found = _find(cluster, target.namespace)
    if found is None or found.status.phase == TERMINATING:
        return
    if (found.metadata.labels or {}).get(LABEL_MANAGED_BY) == MANAGER and _is_empty(
        cluster, target.namespace
    ):
        cluster.core.delete_namespace(target.namespace)


def _create_or_get(cluster: Cluster, name: str, project: str, authority: str) -> Any:
    labels = {LABEL_MANAGED_BY: MANAGER, LABEL_PROJECT: project, LABEL_RESTRICTED: "restricted"}
    metadata = {"name": name, "labels": labels, "annotations": {ANNOTATION_AUTHORITY: authority}}
    try:
        return cluster.core.create_namespace({"metadata": metadata})
    except ApiException as error:
        if error.status != CONFLICT:
            raise
        return cluster.core.read_namespace(name)


def _find(cluster: Cluster, name: str) -> Any:
    try:
        return cluster.core.read_namespace(name)
    except ApiException as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _wait_while_terminating(cluster: Cluster, name: str) -> Any:
    """Return the namespace, or None if it does not exist."""
    found = None

    def is_settled() -> bool:
        nonlocal found
        found = _find(cluster, name)
        return found is None or found.status.phase != TERMINATING

    if not poll_until(is_settled, GONE_SECONDS, POLL_SECONDS):
        raise Failed(
            f"The namespace {name} is still being deleted after {GONE_SECONDS:.0f} s. Its status says why: "
            f"kubectl get namespace {name} -o yaml"
        )
    return found


def _is_empty(cluster: Cluster, name: str) -> bool:
    core = cluster.core
    config_maps = [one.metadata.name for one in core.list_namespaced_config_map(name, limit=2).items]
    return not (
        core.list_namespaced_persistent_volume_claim(name, limit=1).items
        or core.list_namespaced_pod(name, limit=1).items
        or core.list_namespaced_secret(name, limit=1).items
        or set(config_maps) - {DEFAULT_CONFIG_MAP}
    )
