"""The namespaces of a federation: made where they are missing, and removed when nothing is left in them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kubernetes.client.exceptions import ApiException

from deploy.errors import Failed, InputError
from deploy.runtimes.kubernetes.cluster import NOT_FOUND, Cluster

if TYPE_CHECKING:
    from deploy.runtimes.kubernetes.plan import Member

LABEL_OURS = "app.kubernetes.io/managed-by"
OURS = "flarefleet"
LABEL_PROJECT = "app.kubernetes.io/part-of"
LABEL_RESTRICTED = "pod-security.kubernetes.io/enforce"
ANNOTATION_AUTHORITY = "flare/authority"
"""The federation's certificate authority: two federations of one name are two."""
OF_EVERY_NAMESPACE = "kube-root-ca.crt"
"""A ConfigMap that Kubernetes puts into each."""
GONE_SECONDS = 120.0
POLL_SECONDS = 0.3


def ensure_namespace(cluster: Cluster, member: Member, project: str, authority: str) -> None:
    """See that the namespace of a server or site is there, and is this federation's or nobody's.

    One that somebody else made is used as it is. One of ours enforces Pod Security `restricted`.

    Raises:
        InputError: it belongs to another federation.
        Failed: one of that name is being removed and does not go.
    """
    found = _wait_while_it_goes(cluster, member.namespace)
    if found is None:
        cluster.core.create_namespace(_manifest(member.namespace, project, authority))
        return
    labels, annotations = found.metadata.labels or {}, found.metadata.annotations or {}
    if labels.get(LABEL_OURS) != OURS:
        return
    owner = labels.get(LABEL_PROJECT), annotations.get(ANNOTATION_AUTHORITY)
    if owner != (project, authority):
        other = (
            f"the federation {owner[0]}" if owner[0] != project else f"another federation called {project}"
        )
        raise InputError(
            f"The namespace {member.namespace} in {member.context} belongs to {other}. Choose another for "
            f"{member.name} in project.yml (deployment: sites: {member.name}: namespace) and provision "
            "again; or remove the other federation: flarefleet down --volumes there or, if its folder is "
            f"gone, kubectl delete namespace {member.namespace}"
        )


def remove_if_empty(cluster: Cluster, member: Member) -> bool:
    """Remove the namespace if we made it and nothing is in it any more that somebody may want to keep.

    Returns:
        whether it is gone or going.
    """
    found = _find(cluster, member.namespace)
    if found is None:
        return True
    if (found.metadata.labels or {}).get(LABEL_OURS) != OURS or _holds_something(cluster, member.namespace):
        return False
    cluster.core.delete_namespace(member.namespace)
    return True


def _manifest(name: str, project: str, authority: str) -> dict[str, Any]:
    labels = {LABEL_OURS: OURS, LABEL_PROJECT: project, LABEL_RESTRICTED: "restricted"}
    annotations = {ANNOTATION_AUTHORITY: authority}
    return {"metadata": {"name": name, "labels": labels, "annotations": annotations}}


def _find(cluster: Cluster, name: str) -> Any:
    try:
        return cluster.core.read_namespace(name)
    except ApiException as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _wait_while_it_goes(cluster: Cluster, name: str) -> Any:
    """The namespace, or None; one that is on its way out is waited for."""
    deadline = time.monotonic() + GONE_SECONDS
    while (found := _find(cluster, name)) is not None and found.status.phase == "Terminating":
        if time.monotonic() > deadline:
            raise Failed(
                f"The namespace {name} has been going for {GONE_SECONDS:.0f} s. See what holds it: "
                f"kubectl get namespace {name} -o yaml"
            )
        time.sleep(POLL_SECONDS)
    return found


def _holds_something(cluster: Cluster, name: str) -> bool:
    core = cluster.core
    return bool(
        core.list_namespaced_persistent_volume_claim(name, limit=1).items
        or core.list_namespaced_pod(name, limit=1).items
        or core.list_namespaced_secret(name, limit=1).items
        or [
            one
            for one in core.list_namespaced_config_map(name, limit=2).items
            if one.metadata.name != OF_EVERY_NAMESPACE
        ]
    )
