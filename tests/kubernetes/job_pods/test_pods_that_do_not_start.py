"""Job pods that wait, and job pods that cannot start."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from deploy.images.names import runtime_image
from deploy.project import Image
from tests.federation.federation import SERVER, Federation
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.job_pods.job_objects import TIMEOUT, is_clean, job_pods, namespace, submitting
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes


def test_a_temporary_warning_of_the_kubelet_does_not_fail_a_job(
    federation: Federation, cluster: Cluster, template: Callable[[str, str], None]
) -> None:
    template(
        "site-1",
        "s = t['pod_template']['spec']; "
        "s['volumes'].append({'name': 'late', 'secret': {'secretName': 'late'}}); "
        "s['containers'][0]['volumeMounts'].append({'name': 'late', 'mountPath': '/late'})",
    )
    where = namespace(federation, "site-1")

    def warned() -> bool:
        events = cluster.get("events", "-n", where, "--field-selector", "reason=FailedMount")["items"]
        return any(event["involvedObject"]["name"] not in ("site-1-0",) for event in events)

    with submitting(federation, "fibonacci", "--set", "rounds=1", "--site", "site-1") as process:
        try:
            eventually(warned, TIMEOUT, "there is a warning")
        finally:
            cluster.kubectl("create", "secret", "generic", "late", "-n", where)
        _, stderr = process.communicate(timeout=TIMEOUT)
    cluster.kubectl("delete", "secret", "late", "-n", where)
    assert process.returncode == 0, stderr
    assert "COMPLETED" in stderr


@pytest.mark.parametrize(("name", "reported"), [("site-1", "site-1"), (SERVER, "server")])
def test_a_pod_whose_image_cannot_be_pulled_fails_its_job_with_the_reason(
    federation: Federation, cluster: Cluster, template: Callable[[str, str], None], name: str, reported: str
) -> None:
    template(name, "t['container']['image'] = 'registry.invalid/nowhere:1'")
    ended = federation.flarefleet("submit", "fibonacci", "--set", "rounds=1", "--site", "site-1")
    assert ended.returncode == 1, ended.stderr
    message = " ".join(ended.stderr.split())
    assert f"{reported}: its pod cannot start:" in message
    assert "registry.invalid/nowhere:1" in message
    eventually(lambda: is_clean(federation, cluster), TIMEOUT, "the job has left no objects")


@pytest.mark.parametrize(("name", "reported"), [("site-2", "site-2"), (SERVER, "server")])
def test_a_pod_that_a_quota_rejects_fails_its_job_with_the_reason(
    federation: Federation, cluster: Cluster, name: str, reported: str
) -> None:
    where = namespace(federation, name)
    cluster.kubectl("create", "quota", "few", "-n", where, "--hard=pods=1")
    try:
        ended = federation.flarefleet("submit", "fibonacci", "--set", "rounds=1", "--site", "site-2")
    finally:
        cluster.kubectl("delete", "quota", "few", "-n", where)
    assert ended.returncode == 1, ended.stderr
    message = " ".join(ended.stderr.split())
    assert f"{reported}: Kubernetes rejected its pod:" in message
    assert "exceeded quota: few" in message


def test_a_job_that_waits_for_a_gpu_is_reported_and_runs_when_one_is_free(
    federation: Federation, cluster: Cluster, cluster_image: Image
) -> None:
    holders = [f"holder-{number}" for number in range(len(cluster.workers))]
    for name in holders:
        limits = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
        overrides = {
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [_holder(cluster_image, limits)]}
        }
        cluster.kubectl(
            *("run", name, "-n", "default", f"--image={cluster_image.registry}", "--restart=Never"),
            f"--overrides={json.dumps(overrides)}",
        )
    try:
        for name in holders:
            cluster.kubectl("wait", "-n", "default", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        own = {"gpus": 1, "jobPods": {"runtimeClassName": "nvidia"}}
        (federation.workspace.release / "site-2" / "own.yaml").write_text(yaml.safe_dump(own))
        assert federation.flarefleet("up").returncode == 0
        with submitting(federation, "fibonacci", "--set", "rounds=1", "--site", "site-2") as process:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "waiting for its job pod" in line)
            assert "site-2" in line
            assert "Insufficient nvidia.com/gpu" in line
            cluster.kubectl("delete", "pod", "-n", "default", holders[0])
            eventually(lambda: _has_gpu(federation, cluster), TIMEOUT, "the pod has a GPU")
            process.stderr.read()
            assert process.wait(TIMEOUT) == 0
    finally:
        cluster.kubectl("delete", "pod", "-n", "default", "--ignore-not-found", *holders)


def test_a_job_that_waits_for_its_pod_on_the_server_is_reported_and_runs_when_a_node_fits(
    federation: Federation, cluster: Cluster, template: Callable[[str, str], None]
) -> None:
    """The server's parent reports it, because the job's process is in that pod."""
    template(SERVER, "t['pod_template']['spec']['nodeSelector'] = {'flare-test': 'match'}")
    node = cluster.workers[0]
    fibonacci = ("fibonacci", "--set", "rounds=1", "--site", "site-1", "--timeout", str(3 * TIMEOUT))
    try:
        with submitting(federation, *fibonacci) as process:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "the server is waiting for its job pod" in line)
            assert "didn't match Pod's node affinity/selector" in line
            listed = federation.flarefleet("jobs").stdout
            assert "RUNNING" in listed
            assert "didn't match Pod's node affinity/selector" in listed
            cluster.kubectl("label", "node", node, "flare-test=match")
            process.stderr.read()
            assert process.wait(TIMEOUT) == 0
    finally:
        cluster.kubectl("label", "node", node, "flare-test-")
    assert "waits" not in federation.flarefleet("jobs").stdout


def _holder(image: Image, limits: dict[str, Any]) -> dict[str, Any]:
    name = runtime_image(image)
    return {
        "name": "holder",
        "image": name,
        "imagePullPolicy": "Never",
        "command": ["sleep", "600"],
        **limits,
    }


def _has_gpu(federation: Federation, cluster: Cluster) -> bool:
    pods = job_pods(federation, cluster, "site-2")
    limits = [pod["spec"]["containers"][0]["resources"]["limits"] for pod in pods]
    return (
        bool(pods)
        and all(one["nvidia.com/gpu"] == "1" for one in limits)
        and bool(pods[0]["spec"].get("nodeName"))
    )
