"""`launcher: pod`: jobs in pods of their own, under Pod Security `restricted`."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.project import Image
from deploy.session.connection import open_session
from deploy.session.kit import AdminKit
from deploy.session.session import COMPLETED
from fl_app.jobs.hospital.job import HospitalParameters
from tests.federation.federation import ADMIN, SERVER, Federation, eventually, write_project
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.hospital import is_what_averaging_by_hand_comes_to, submitted_with

pytestmark = pytest.mark.kubernetes

PARAMETERS = HospitalParameters(rounds=2, local_epochs=1, hidden=7, seed=5)
IN_A_ROW = 20
PATIENCE = 240
"""Seconds in which anything must have come about, however busy the machine is."""
KEPT = 15
"""Seconds for which site-1 keeps job pods once it has been given its ledger."""
EVERYWHERE = (SERVER, "site-1", "site-2", "site-3")
TEMPLATE = "/var/lib/flare/local/study_runtime.yaml"
"""What the launcher makes pods of; in tests it changes under a running parent."""


@pytest.fixture(scope="module")
def wards(cluster_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and three sites, up, whose jobs run in pods; what cannot start is given up after 5 s."""
    name = f"wards-{os.getpid()}"
    folder = tmp_path_factory.mktemp("wards")
    file = write_project(folder, sites=3, name=name, image=cluster_image, port=8002, launcher="pod")
    made = Federation(file.parent, "kubernetes")
    own = yaml.safe_dump({"jobPods": {"startTimeoutSeconds": 5}})
    for name in (SERVER, "site-1"):
        (made.workspace.release / name / "own.yaml").write_text(own)
    try:
        up = made.flarefleet("up", "--runtime", "kubernetes")
        assert up.returncode == 0, up.stderr
        yield made
    finally:
        made.remove()


def namespace(wards: Federation, name: str) -> str:
    return f"{wards.project.name}-{name}"


def job_pods(wards: Federation, cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """The job pods of a server or site that are there now."""
    return cluster.get("pods", "-n", namespace(wards, name), "-l", "flare/role=job")["items"]


def secrets(wards: Federation, cluster: Cluster, name: str) -> set[str]:
    """The Secrets that are helm's and the operator's no more than the job's."""
    items = cluster.get("secrets", "-n", namespace(wards, name))["items"]
    return {one["metadata"]["name"] for one in items if one["type"] == "Opaque"}


def nothing_left(wards: Federation, cluster: Cluster) -> bool:
    return all(
        not job_pods(wards, cluster, name) and len(secrets(wards, cluster, name)) == 1 for name in EVERYWHERE
    )


@contextmanager
def submitting(wards: Federation, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`flarefleet submit`, watching, while the test does something else."""
    with subprocess.Popen(
        wards.command("submit", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=wards.folder,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def template(wards: Federation, cluster: Cluster) -> Iterator[Callable[[str, str], None]]:
    """Runs a statement of Python that changes the pod template `t` of one; as it was, afterwards."""
    before: dict[str, str] = {}

    def run(name: str, *command: str) -> str:
        return cluster.exec(namespace(wards, name), f"{name}-0", *command)

    def change(name: str, statement: str) -> None:
        before[name] = run(name, "cat", TEMPLATE)
        code = (
            f"import yaml; p = {TEMPLATE!r}; d = yaml.safe_load(open(p)); t = d['studies']['default']; "
            f"{statement}; open(p, 'w').write(yaml.safe_dump(d))"
        )
        run(name, "python3", "-c", code)

    yield change
    for name, text in before.items():
        run(name, "python3", "-c", f"open({TEMPLATE!r}, 'w').write({text!r})")


def test_hospital_in_pods_comes_to_the_model_that_averaging_by_hand_comes_to_and_leaves_nothing(
    wards: Federation, cluster: Cluster, tmp_path: Path
) -> None:
    seen: dict[str, dict[str, Any]] = {}
    with submitting(wards, "hospital", *submitted_with(PARAMETERS)) as process:

        def in_every_namespace() -> bool:
            for name in EVERYWHERE:
                for pod in job_pods(wards, cluster, name):
                    seen[name] = pod
            return len(seen) == len(EVERYWHERE) or process.poll() is not None

        eventually(in_every_namespace, PATIENCE, "a job pod in every namespace")
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr

    assert set(seen) == set(EVERYWHERE)
    for name, pod in seen.items():
        labels, spec = pod["metadata"]["labels"], pod["spec"]
        assert (labels["flare/site"], labels["flare/role"]) == (name, "job")
        assert labels["app.kubernetes.io/component"] == "job"
        assert spec["automountServiceAccountToken"] is False
        (owner,) = pod["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("ConfigMap", f"{name}-jobs")
        assert "-key" not in json.dumps(spec["volumes"]), "the site's private key stays where it is"
    is_what_averaging_by_hand_comes_to(wards, stdout.strip(), PARAMETERS, tmp_path / "results")
    eventually(lambda: nothing_left(wards, cluster), PATIENCE, "nothing is left of the job")


def test_twenty_jobs_in_a_row_complete_on_a_busy_machine(wards: Federation, tmp_path: Path) -> None:
    """NVFlare runs four of them at the same time, so that the machine is as busy as it can be."""
    sites = ("--site", "site-1", "--site", "site-2")
    exported = wards.flarefleet("export", "fibonacci", str(tmp_path / "job"), "--set", "rounds=1", *sites)
    assert exported.returncode == 0, exported.stderr
    folder = next((tmp_path / "job").rglob("meta.json")).parent
    with open_session(AdminKit.read(wards.runtime.admin_kit(ADMIN))) as session:
        ids = {session.submit(folder, token=uuid.uuid4().hex) for _ in range(IN_A_ROW)}
        deadline = time.monotonic() + 420
        jobs = [job for job in session.jobs() if job.id in ids]
        while not all(job.is_finished for job in jobs):
            assert time.monotonic() < deadline, jobs
            threading.Event().wait(1)
            jobs = [job for job in session.jobs() if job.id in ids]
    assert len(ids) == IN_A_ROW
    assert {job.status for job in jobs} == {COMPLETED}, jobs


def test_a_warning_that_the_kubelet_gets_over_does_not_end_a_job(
    wards: Federation, cluster: Cluster, template: Callable[[str, str], None]
) -> None:
    template(
        "site-1",
        "s = t['pod_template']['spec']; "
        "s['volumes'].append({'name': 'late', 'secret': {'secretName': 'late'}}); "
        "s['containers'][0]['volumeMounts'].append({'name': 'late', 'mountPath': '/late'})",
    )
    where = namespace(wards, "site-1")

    def warned() -> bool:
        events = cluster.get("events", "-n", where, "--field-selector", "reason=FailedMount")["items"]
        return any(event["involvedObject"]["name"] not in ("site-1-0",) for event in events)

    with submitting(wards, "fibonacci", "--set", "rounds=1", "--site", "site-1") as process:
        try:
            eventually(warned, PATIENCE, "the kubelet warns")
        finally:
            cluster.kubectl("create", "secret", "generic", "late", "-n", where)
        _, stderr = process.communicate(timeout=PATIENCE)
    cluster.kubectl("delete", "secret", "late", "-n", where)
    assert process.returncode == 0, stderr
    assert "COMPLETED" in stderr


@pytest.mark.parametrize(("where", "who"), [("site-1", "site-1"), (SERVER, "server")])
def test_a_pod_without_an_image_ends_its_job_and_says_why(
    wards: Federation, cluster: Cluster, template: Callable[[str, str], None], where: str, who: str
) -> None:
    template(where, "t['container']['image'] = 'registry.invalid/nowhere:1'")
    ended = wards.flarefleet("submit", "fibonacci", "--set", "rounds=1", "--site", "site-1")
    assert ended.returncode == 1, ended.stderr
    told = " ".join(ended.stderr.split())
    assert f"{who}: its pod cannot start:" in told
    assert "registry.invalid/nowhere:1" in told
    eventually(lambda: nothing_left(wards, cluster), PATIENCE, "nothing is left of the job")


@pytest.mark.parametrize(("name", "who"), [("site-2", "site-2"), (SERVER, "server")])
def test_a_pod_that_a_quota_refuses_ends_its_job_and_says_why(
    wards: Federation, cluster: Cluster, name: str, who: str
) -> None:
    where = namespace(wards, name)
    cluster.kubectl("create", "quota", "few", "-n", where, "--hard=pods=1")
    try:
        ended = wards.flarefleet("submit", "fibonacci", "--set", "rounds=1", "--site", "site-2")
    finally:
        cluster.kubectl("delete", "quota", "few", "-n", where)
    assert ended.returncode == 1, ended.stderr
    told = " ".join(ended.stderr.split())
    assert f"{who}: Kubernetes refuses its pod:" in told
    assert "exceeded quota: few" in told


def test_a_job_waits_for_a_gpu_says_so_and_runs_when_one_is_freed(
    wards: Federation, cluster: Cluster, cluster_image: Image
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
        (wards.workspace.release / "site-2" / "own.yaml").write_text(yaml.safe_dump(own))
        assert wards.flarefleet("up").returncode == 0
        with submitting(wards, "fibonacci", "--set", "rounds=1", "--site", "site-2") as process:
            assert process.stderr is not None
            said = next(line for line in process.stderr if "waits for its job pod" in line)
            assert "site-2" in said
            assert "Insufficient nvidia.com/gpu" in said
            cluster.kubectl("delete", "pod", "-n", "default", holders[0])
            eventually(lambda: _devices(wards, cluster), PATIENCE, "the pod has a GPU")
            process.stderr.read()
            assert process.wait(PATIENCE) == 0
    finally:
        cluster.kubectl("delete", "pod", "-n", "default", "--ignore-not-found", *holders)


def test_a_job_waits_for_its_pod_on_the_server_says_so_and_runs_when_there_is_room(
    wards: Federation, cluster: Cluster, template: Callable[[str, str], None]
) -> None:
    """Nobody but the server's parent can say it: the job's own process is in that pod."""
    template(SERVER, "t['pod_template']['spec']['nodeSelector'] = {'flare-test': 'room'}")
    node = cluster.workers[0]
    fibonacci = ("fibonacci", "--set", "rounds=1", "--site", "site-1", "--timeout", str(3 * PATIENCE))
    try:
        with submitting(wards, *fibonacci) as process:
            assert process.stderr is not None
            said = next(line for line in process.stderr if "the server waits for its job pod" in line)
            assert "didn't match Pod's node affinity/selector" in said
            listed = wards.flarefleet("jobs").stdout
            assert "RUNNING" in listed
            assert "didn't match Pod's node affinity/selector" in listed
            cluster.kubectl("label", "node", node, "flare-test=room")
            process.stderr.read()
            assert process.wait(PATIENCE) == 0
    finally:
        cluster.kubectl("label", "node", node, "flare-test-")
    assert "waits" not in wards.flarefleet("jobs").stdout


def _holder(image: Image, limits: dict[str, Any]) -> dict[str, Any]:
    from deploy.images.names import runtime_image

    name = runtime_image(image)
    return {
        "name": "holder",
        "image": name,
        "imagePullPolicy": "Never",
        "command": ["sleep", "600"],
        **limits,
    }


def _devices(wards: Federation, cluster: Cluster) -> bool:
    pods = job_pods(wards, cluster, "site-2")
    limits = [pod["spec"]["containers"][0]["resources"]["limits"] for pod in pods]
    return (
        bool(pods)
        and all(one["nvidia.com/gpu"] == "1" for one in limits)
        and bool(pods[0]["spec"].get("nodeName"))
    )


@pytest.fixture(scope="module")
def ledger(wards: Federation, cluster: Cluster) -> Iterator[str]:
    """From now on site-1 has a claim with numbers in it, for reading, and keeps job pods for a while.

    Yields:
        The node on which the claim's volume lies.
    """
    where = namespace(wards, "site-1")
    node = cluster.workers[-1]
    cluster.apply(_claim("ledger"), where)
    cluster.apply(_writer("ledger", node, "umask 022; echo 19 23 > /ledger/numbers"), where)
    written = ("--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    cluster.kubectl("wait", "-n", where, "pod/writer", *written)
    cluster.kubectl("delete", "pod", "-n", where, "writer")
    own = {"datasets": {"ledger": {"claim": "ledger"}}, "jobPods": {"ttlSecondsAfterFinished": KEPT}}
    (wards.workspace.release / "site-1" / "own.yaml").write_text(yaml.safe_dump(own))
    up = wards.flarefleet("up")
    assert up.returncode == 0, up.stderr
    yield node
    # Data that a site was given outlives its federation, and its namespace with it.
    cluster.kubectl("delete", "pvc", "-n", where, "ledger", "--timeout=60s")


def test_a_job_reads_its_sites_claim_where_that_lies_and_cannot_change_it(
    wards: Federation, cluster: Cluster, ledger: str
) -> None:
    """The job completes only then; see its client."""
    seen: list[dict[str, Any]] = []
    with submitting(wards, str(Path(__file__).parent / "ledger_job"), "--site", "site-1") as process:

        def has_a_node() -> bool:
            seen.extend(pod for pod in job_pods(wards, cluster, "site-1") if pod["spec"].get("nodeName"))
            return bool(seen) or process.poll() is not None

        eventually(has_a_node, PATIENCE, "the job's pod has a node")
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert seen[0]["spec"]["nodeName"] == ledger
    parent = cluster.get("pod", "-n", namespace(wards, "site-1"), "site-1-0")
    assert "data-ledger" not in json.dumps(parent["spec"]), "it would hold the claim on its own node"


def test_a_finished_pod_stays_for_as_long_as_its_operator_wants_and_its_secret_does_not(
    wards: Federation, cluster: Cluster, ledger: str
) -> None:
    done = wards.flarefleet("submit", "fibonacci", "--detach", "--set", "rounds=1", "--site", "site-1")
    assert done.returncode == 0, done.stderr

    def stays_alone() -> bool:
        phases = {pod["status"]["phase"] for pod in job_pods(wards, cluster, "site-1")}
        return phases == {"Succeeded"} and len(secrets(wards, cluster, "site-1")) == 1

    eventually(stays_alone, PATIENCE, "the pod has done its work, its Secret is gone")
    eventually(lambda: not job_pods(wards, cluster, "site-1"), KEPT + PATIENCE, "it goes")


def _claim(name: str) -> dict[str, Any]:
    """Of one node at a time, and bound to the one on which it is first used."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local",
        "resources": {"requests": {"storage": "16Mi"}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _writer(claim: str, node: str, script: str) -> dict[str, Any]:
    """A pod, as `restricted` wants it, that writes into a claim."""
    container = {
        "name": "writer",
        "image": "localhost/busybox:1",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": f"/{claim}"}],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec}


def test_a_parent_that_starts_again_and_an_uninstall_leave_no_job_pod(
    wards: Federation, cluster: Cluster
) -> None:
    """NVFlare goes on to call the job RUNNING: it is lost with the site's parent."""
    submitted = wards.flarefleet("submit", "probe", "--detach", "--set", "rounds=200", "--set", "seconds=1")
    assert submitted.returncode == 0, submitted.stderr
    eventually(
        lambda: all(job_pods(wards, cluster, name) for name in EVERYWHERE), PATIENCE, "job pods are there"
    )

    wards.kill("site-1")
    eventually(lambda: not job_pods(wards, cluster, "site-1"), PATIENCE, "the next parent clears up")

    where = namespace(wards, "site-2")
    cluster.run("helm", "uninstall", "site-2", "-n", where, "--wait")
    eventually(lambda: not cluster.get("pods", "-n", where)["items"], PATIENCE, "no pod outlives its release")
    eventually(
        lambda: len(secrets(wards, cluster, "site-2")) == 1, PATIENCE, "the operator's key alone is left"
    )
