"""The Kubernetes client: its import, and namespaces that several participants share."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import BaseModel

from deploy.errors import InputError
from deploy.project import load_project
from deploy.runtimes.kubernetes import observation
from deploy.runtimes.kubernetes.namespaces import (
    ANNOTATION_AUTHORITY,
    LABEL_MANAGED_BY,
    LABEL_PROJECT,
    MANAGER,
    ensure_namespace,
    remove_if_empty,
)
from deploy.runtimes.kubernetes.plan import ReleaseTarget
from deploy.runtimes.kubernetes.runtime import KubernetesRuntime
from deploy.workspace import Workspace
from tests.federation.federation import write_project

TARGET = ReleaseTarget(name="site-1", role="client", context="fed", namespace="shared", release="site-1")


def test_the_clients_objects_are_not_pydantic_models() -> None:
    """Version 36 and later compile a model for each at import, which takes more than a second."""
    assert not issubclass(client.V1Pod, BaseModel)


def namespace(project: str, phase: str = "Active") -> client.V1Namespace:
    labels = {LABEL_MANAGED_BY: MANAGER, LABEL_PROJECT: project}
    metadata = client.V1ObjectMeta(labels=labels, annotations={ANNOTATION_AUTHORITY: "authority"})
    return client.V1Namespace(metadata=metadata, status=client.V1NamespaceStatus(phase=phase))


def cluster(*reads: object) -> Any:
    """Return a cluster whose namespace is read with these results; its creation and deletion conflict."""
    core = Mock()
    core.read_namespace.side_effect = reads
    core.create_namespace.side_effect = core.delete_namespace.side_effect = ApiException(409)
    return SimpleNamespace(core=core)


def test_a_namespace_that_another_participant_has_just_created_is_used() -> None:
    ensure_namespace(cluster(ApiException(404), namespace("clinics")), TARGET, "clinics", "authority")


def test_a_namespace_that_another_federation_has_just_created_is_rejected() -> None:
    with pytest.raises(InputError, match="The namespace shared in fed belongs to the federation hospitals"):
        ensure_namespace(cluster(ApiException(404), namespace("hospitals")), TARGET, "clinics", "authority")


def test_a_namespace_that_is_being_deleted_is_not_deleted_again() -> None:
    remove_if_empty(cluster(namespace("clinics", "Terminating")), TARGET)


def test_concurrent_requests_share_one_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created = []

    class SlowCluster:
        def __init__(self, context: str) -> None:
            created.append(context)
            time.sleep(0.1)

    monkeypatch.setattr("deploy.runtimes.kubernetes.runtime.Cluster", SlowCluster)
    project = load_project(write_project(tmp_path, sites=1))
    runtime = KubernetesRuntime(project, Workspace(tmp_path / "workspace"))

    with ThreadPoolExecutor(4) as pool:
        clusters = list(pool.map(runtime.cluster, [TARGET] * 4))

    assert created == ["fed"]
    assert len(set(clusters)) == 1


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "; the volume claim data does not exist"), (403, ""), (500, "")]
)
def test_only_a_claim_that_is_not_found_is_reported_as_missing(status: int, reason: str) -> None:
    source = client.V1PersistentVolumeClaimVolumeSource(claim_name="data")
    volume = client.V1Volume(name="data", persistent_volume_claim=source)
    pod = client.V1Pod(spec=client.V1PodSpec(containers=[], volumes=[volume]))
    core = Mock(read_namespaced_persistent_volume_claim=Mock(side_effect=ApiException(status)))

    assert observation._unbound(Mock(core=core), TARGET, pod) == reason
