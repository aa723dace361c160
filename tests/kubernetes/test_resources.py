"""Resources of a site: datasets, GPUs, priority, and permissions if it launches pods."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from filelock import FileLock

from deploy.project import Project
from deploy.workspace import Workspace
from tests.kubernetes.cluster import GPUS_LOCK, CommandFailedError, Release
from tests.kubernetes.conftest import Federation, added_site
from tests.kubernetes.test_network_policy import connections
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "training-data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.fixture(scope="module")
def site(
    federation: Federation, project: tuple[Project, Workspace], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """Install a site with a dataset, a GPU and a priority. Later tests of this file upgrade it."""
    with FileLock(GPUS_LOCK), added_site(federation, project[1]) as release:
        file = tmp_path_factory.mktemp("claim") / "claim.json"
        file.write_text(json.dumps(CLAIM))
        kubectl, priority = release.cluster.kubectl, f"flare-{release.namespace[-6:]}"
        kubectl("apply", "-n", release.namespace, "-f", str(file))
        kubectl("create", "priorityclass", priority, "--value=1234", "--preemption-policy=Never")
        try:
            release.install(
                *("--set", "datasets.training.claim=training-data"),
                *("--set", f"gpus=1,runtimeClassName=nvidia,priorityClassName={priority}"),
            )
            release.wait_until_ready()
            yield release
        finally:
            kubectl("delete", "priorityclass", priority)


def test_a_dataset_is_mounted_read_only(site: Release) -> None:
    assert site.exec("ls", "-d", "/data/training").strip() == "/data/training"
    with pytest.raises(CommandFailedError, match="Read-only file system"):
        site.exec("touch", "/data/training/x")


def test_a_site_has_a_gpu(site: Release) -> None:
    assert site.python("import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])").strip() == "0"


def test_a_site_has_the_configured_priority(site: Release) -> None:
    spec = site.cluster.get("pod", "-n", site.namespace, site.pod)["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1234, "Never")


def test_a_site_that_launches_pods_has_only_the_permissions_for_that(site: Release) -> None:
    site.upgrade("--set", "launcher=pod")
    site.wait_until_ready()
    account = f"--as=system:serviceaccount:{site.namespace}:{site.name}"

    def may(*what: str) -> bool:
        try:
            return site.cluster.kubectl("auth", "can-i", *what, account).strip() == "yes"
        except CommandFailedError:
            return False

    here = ("-n", site.namespace)
    assert all(may(verb, "pods", *here) for verb in ("create", "get", "list", "watch", "delete"))
    assert may("create", "secrets", *here)
    assert may("get", f"configmaps/{site.name}-jobs", *here)
    assert not any(may(verb, "secrets", *here) for verb in ("get", "list", "watch"))
    assert not may("create", "pods", "-n", "fed-site-1")
    assert not may("create", "pods", "--subresource=exec", *here)
    assert not may("get", "configmaps/kube-root-ca.crt", *here)
    api = "kubernetes.default.svc:443"
    assert connections(site.cluster, site.namespace, site.pod, api) == {api: True}


def test_a_site_that_requests_too_many_gpus_waits(site: Release) -> None:
    site.upgrade("--set", "gpus=9")

    def is_unschedulable() -> bool:
        status = site.cluster.get("pod", "-n", site.namespace, site.pod)["status"]
        messages = (one.get("message", "") for one in status.get("conditions", []))
        return any("Insufficient nvidia.com/gpu" in message for message in messages)

    eventually(is_unschedulable, 60, "no node can run the pod", tolerating=[CommandFailedError])
