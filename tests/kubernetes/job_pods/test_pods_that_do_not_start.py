"""Job pods that wait, and job pods that cannot start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import yaml
from filelock import FileLock

from tests.federation.federation import SERVER, Federation
from tests.kubernetes.cluster import GPUS_LOCK, RESTRICTED, Cluster
from tests.kubernetes.job_pods.job_objects import TIMEOUT, is_clean, job_pods, namespace
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

    with federation.start("submit", "fibonacci", "--set", "rounds=1", "--site", "site-1") as process:
        try:
            eventually(warned, TIMEOUT, "there is a warning")
        finally:
            cluster.kubectl("create", "secret", "generic", "late", "-n", where)
        _, stderr = process.communicate(timeout=TIMEOUT)
    cluster.kubectl("delete", "secret", "late", "-n", where)
    assert process.returncode == 0, stderr
    assert "COMPLETED" in stderr


def failure_of_a_job(federation: Federation, site: str) -> str:
    """Submit a job for one site, which fails, and return its message in one line."""
    ended = federation.flarefleet("submit", "fibonacci", "--set", "rounds=1", "--site", site)
    assert ended.returncode == 1, ended.stderr
    return " ".join(ended.stderr.split())


@pytest.mark.parametrize(("name", "reported"), [("site-1", "site-1"), (SERVER, "server")])
def test_a_pod_whose_image_cannot_be_pulled_fails_its_job_with_the_reason(
    federation: Federation, cluster: Cluster, template: Callable[[str, str], None], name: str, reported: str
) -> None:
    template(name, "t['container']['image'] = 'registry.invalid/nowhere:1'")
    message = failure_of_a_job(federation, "site-1")
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
        message = failure_of_a_job(federation, "site-2")
    finally:
        cluster.kubectl("delete", "quota", "few", "-n", where)
    assert f"{reported}: Kubernetes rejected its pod:" in message
    assert "exceeded quota: few" in message


@pytest.fixture
def _gpus() -> Iterator[None]:
    """Let no test of another worker use a GPU."""
    with FileLock(GPUS_LOCK):
        yield


@pytest.mark.usefixtures("_gpus")
def test_a_job_that_waits_for_a_gpu_is_reported_and_runs_when_one_is_free(
    federation: Federation, cluster: Cluster
) -> None:
    holders = [f"holder-{number}" for number in range(len(cluster.workers))]
    limits = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    for name in holders:
        container = {"name": "holder", "command": ["sleep", "600"], **RESTRICTED, **limits}
        spec = {"terminationGracePeriodSeconds": 0, "restartPolicy": "Never", "containers": [container]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        cluster.apply(pod, "default")
    try:
        for name in holders:
            cluster.kubectl("wait", "-n", "default", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        own = {"gpus": 1, "jobPods": {"runtimeClassName": "nvidia"}}
        (federation.workspace.release / "site-2" / "own.yaml").write_text(yaml.safe_dump(own))
        assert federation.flarefleet("up").returncode == 0
        with federation.start("submit", "fibonacci", "--set", "rounds=1", "--site", "site-2") as process:
            line = next(line for line in process.stderr if "waiting for its job pod" in line)
            assert "site-2" in line
            assert "Insufficient nvidia.com/gpu" in line
            cluster.kubectl("delete", "pod", "-n", "default", holders[0])
            eventually(lambda: _has_gpu(federation, cluster), TIMEOUT, "the pod has a GPU")
            rest = process.stderr.read()
            assert process.wait(TIMEOUT) == 0, rest
    finally:
        cluster.kubectl("delete", "pod", "-n", "default", "--ignore-not-found", *holders)


def test_a_job_that_waits_for_its_pod_on_the_server_is_reported_and_runs_when_a_node_fits(
    federation: Federation, cluster: Cluster, template: Callable[[str, str], None]
) -> None:
    """The server's parent reports it, because the job's process is in that pod."""
    template(SERVER, "t['pod_template']['spec']['nodeSelector'] = {'flare-test': 'match'}")
    # The only node where it may run: a job's pod uses the volume of the server's pod.
    node = cluster.get("pod", "-n", namespace(federation, SERVER), f"{SERVER}-0")["spec"]["nodeName"]
    fibonacci = ("fibonacci", "--set", "rounds=1", "--site", "site-1", "--timeout", str(3 * TIMEOUT))
    try:
        with federation.start("submit", *fibonacci) as process:
            line = next(line for line in process.stderr if "the server is waiting for its job pod" in line)
            assert "didn't match Pod's node affinity/selector" in line
            listed = federation.flarefleet("jobs").stdout
            assert "RUNNING" in listed
            assert "didn't match Pod's node affinity/selector" in listed
            cluster.kubectl("label", "node", node, "flare-test=match")
            rest = process.stderr.read()
            assert process.wait(TIMEOUT) == 0, rest
    finally:
        cluster.kubectl("label", "node", node, "flare-test-")
    assert "waits" not in federation.flarefleet("jobs").stdout


def _has_gpu(federation: Federation, cluster: Cluster) -> bool:
    pods = job_pods(federation, cluster, "site-2")
    limits = [pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] for pod in pods]
    return bool(pods) and set(limits) == {"1"} and bool(pods[0]["spec"].get("nodeName"))
