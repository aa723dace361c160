"""What a site is given: its data, its GPU, and, only where it launches pods, a right in its namespace."""

from __future__ import annotations

import json

import pytest

from tests.kubernetes.cluster import CommandFailedError, Release
from tests.kubernetes.test_network_policy import reaches

pytestmark = pytest.mark.kubernetes

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "village-data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def test_data_is_at_its_path_and_cannot_be_changed(
    newcomer: Release, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("claim") / "claim.json"
    file.write_text(json.dumps(CLAIM))
    newcomer.cluster.kubectl("apply", "-n", newcomer.namespace, "-f", str(file))
    newcomer.install("--set", "datasets.training.claim=village-data")
    newcomer.wait_until_ready()
    assert newcomer.exec("ls", "-d", "/data/training").strip() == "/data/training"
    with pytest.raises(CommandFailedError, match="Read-only file system"):
        newcomer.exec("touch", "/data/training/x")


def test_a_site_with_a_gpu_gets_one(newcomer: Release) -> None:
    newcomer.install("--set", "gpus=1,runtimeClassName=nvidia")
    newcomer.wait_until_ready()
    devices = newcomer.python("import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])").strip()
    assert devices == "0"


def test_a_site_that_asks_for_more_gpus_than_there_are_waits(newcomer: Release) -> None:
    newcomer.install("--set", "gpus=9")
    waiting = ("--for=condition=PodScheduled=false", "--timeout=30s")
    newcomer.cluster.kubectl("wait", "-n", newcomer.namespace, f"pod/{newcomer.pod}", *waiting)
    (condition,) = newcomer.cluster.get("pod", "-n", newcomer.namespace, newcomer.pod)["status"]["conditions"]
    assert "Insufficient nvidia.com/gpu" in condition["message"]


def test_a_site_has_the_priority_that_its_operator_gives_it(newcomer: Release) -> None:
    kubectl, name = newcomer.cluster.kubectl, f"flare-{newcomer.namespace[-6:]}"
    kubectl("create", "priorityclass", name, "--value=1234", "--preemption-policy=Never")
    try:
        newcomer.install("--set", f"priorityClassName={name}")
        newcomer.wait_until_ready()
        spec = newcomer.cluster.get("pod", "-n", newcomer.namespace, newcomer.pod)["spec"]
        assert (spec["priority"], spec["preemptionPolicy"]) == (1234, "Never")
    finally:
        kubectl("delete", "priorityclass", name)


def test_a_site_that_launches_pods_may_do_that_and_no_more(newcomer: Release) -> None:
    newcomer.install("--set", "launcher=pod")
    newcomer.wait_until_ready()
    account = f"--as=system:serviceaccount:{newcomer.namespace}:{newcomer.name}"

    def may(*what: str) -> bool:
        try:
            return newcomer.cluster.kubectl("auth", "can-i", *what, account).strip() == "yes"
        except CommandFailedError:
            return False

    here = ("-n", newcomer.namespace)
    assert all(may(verb, "pods", *here) for verb in ("create", "get", "list", "watch", "delete"))
    assert may("create", "secrets", *here)
    assert may("get", "configmaps/site-3-jobs", *here)
    assert not any(may(verb, "secrets", *here) for verb in ("get", "list", "watch"))
    assert not may("create", "pods", "-n", "fed-site-1")
    assert not may("create", "pods", "--subresource=exec", *here)
    assert not may("get", "configmaps/kube-root-ca.crt", *here)
    assert reaches(newcomer.cluster, newcomer.namespace, newcomer.pod, "kubernetes.default.svc", 443)
