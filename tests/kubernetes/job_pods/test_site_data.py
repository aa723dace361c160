"""Datasets in job pods, and job pods that are kept after they finish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.federation.federation import Federation
from tests.kubernetes.cluster import RESTRICTED, Cluster
from tests.kubernetes.job_pods.job_objects import TIMEOUT, job_pods, namespace, secrets
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

KEPT = 15
"""Seconds for which site-1 keeps finished job pods."""


@pytest.fixture(scope="module")
def ledger(federation: Federation, cluster: Cluster) -> Iterator[str]:
    """Give site-1 a dataset of numbers, and keep its finished job pods.

    Yields:
        The node of the dataset's volume.
    """
    where = namespace(federation, "site-1")
    node = cluster.workers[-1]
    cluster.apply(_claim("ledger"), where)
    cluster.apply(_writer("ledger", node, "umask 022; echo 19 23 > /ledger/numbers"), where)
    written = ("--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    cluster.kubectl("wait", "-n", where, "pod/writer", *written)
    cluster.kubectl("delete", "pod", "-n", where, "writer")
    own = {"datasets": {"ledger": {"claim": "ledger"}}, "jobPods": {"ttlSecondsAfterFinished": KEPT}}
    (federation.workspace.release / "site-1" / "own.yaml").write_text(yaml.safe_dump(own))
    federation.run("up")
    yield node
    # `down --volumes` keeps datasets, and a namespace that has one.
    cluster.kubectl("delete", "pvc", "-n", where, "ledger", "--timeout=60s")


def test_a_job_reads_its_sites_dataset_on_its_node_and_cannot_change_it(
    federation: Federation, cluster: Cluster, ledger: str
) -> None:
    """The job's client checks the data."""
    seen: list[dict[str, Any]] = []
    with federation.start("submit", str(Path(__file__).parent / "ledger_job"), "--site", "site-1") as process:

        def has_a_node() -> bool:
            seen.extend(pod for pod in job_pods(federation, cluster, "site-1") if pod["spec"].get("nodeName"))
            return bool(seen) or process.poll() is not None

        eventually(has_a_node, TIMEOUT, "the job's pod has a node")
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, stderr
    assert seen[0]["spec"]["nodeName"] == ledger
    parent = cluster.get("pod", "-n", namespace(federation, "site-1"), "site-1-0")
    assert "data-ledger" not in json.dumps(parent["spec"]), "the parent would keep the claim on its node"


def test_a_finished_pod_is_kept_for_the_configured_time_without_its_secret(
    federation: Federation, cluster: Cluster, ledger: str
) -> None:
    federation.run("submit", "fibonacci", "--detach", "--set", "rounds=1", "--site", "site-1")

    def is_kept_without_secret() -> bool:
        phases = {pod["status"]["phase"] for pod in job_pods(federation, cluster, "site-1")}
        return phases == {"Succeeded"} and len(secrets(federation, cluster, "site-1")) == 1

    eventually(is_kept_without_secret, TIMEOUT, "the pod has finished and its Secret is deleted")
    eventually(lambda: not job_pods(federation, cluster, "site-1"), KEPT + TIMEOUT, "the pod is deleted")


def _claim(name: str) -> dict[str, Any]:
    """Return a claim that is bound to the node of its first pod."""
    storage = {"storageClassName": "local", "resources": {"requests": {"storage": "16Mi"}}}
    spec = {"accessModes": ["ReadWriteOnce"], **storage}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _writer(claim: str, node: str, script: str) -> dict[str, Any]:
    """Return a `restricted` pod that writes into a claim."""
    mounts = [{"name": "data", "mountPath": f"/{claim}"}]
    container = {"name": "writer", "command": ["sh", "-c", script], "volumeMounts": mounts, **RESTRICTED}
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec}
