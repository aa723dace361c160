"""Jobs in pods complete and leave no objects behind."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from deploy.session.connection import open_session
from deploy.session.kit import AdminKit
from deploy.session.session import COMPLETED, Job
from fl_app.jobs.hospital.job import HospitalParameters
from tests.federation.federation import ADMIN, SERVER, Federation, set_options
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.hospital import assert_equals_local_training
from tests.kubernetes.job_pods.job_objects import (
    PARTICIPANTS,
    TASK_TIMEOUT,
    TIMEOUT,
    is_clean,
    job_pods,
    namespace,
    pod_uids,
)
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

PARAMETERS = HospitalParameters(rounds=2, local_epochs=1, hidden=7, seed=5)
QUEUED_JOBS = 5


def test_hospital_in_pods_equals_local_training_and_leaves_no_objects(
    federation: Federation, cluster: Cluster, tmp_path: Path
) -> None:
    seen: dict[str, dict[str, Any]] = {}
    with federation.start(
        "submit", "hospital", *set_options(PARAMETERS.model_dump(exclude_none=True))
    ) as process:

        def in_every_namespace() -> bool:
            for name in PARTICIPANTS:
                for pod in job_pods(federation, cluster, name):
                    seen[name] = pod
            return len(seen) == len(PARTICIPANTS) or process.poll() is not None

        eventually(in_every_namespace, TIMEOUT, "every namespace has a job pod")
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, stderr

    assert set(seen) == set(PARTICIPANTS)
    for name, pod in seen.items():
        labels, spec = pod["metadata"]["labels"], pod["spec"]
        assert (labels["flare/site"], labels["flare/role"]) == (name, "job")
        assert labels["app.kubernetes.io/component"] == "job"
        assert spec["automountServiceAccountToken"] is False
        (owner,) = pod["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("ConfigMap", f"{name}-jobs")
        assert "-key" not in json.dumps(spec["volumes"]), "a job pod has no private key"
    timeouts = {name: _environment(pod).get("FLARE_TASK_TIMEOUT") for name, pod in seen.items()}
    assert timeouts == {**dict.fromkeys(PARTICIPANTS), SERVER: TASK_TIMEOUT}
    assert_equals_local_training(federation, stdout.strip(), PARAMETERS, tmp_path / "results")
    eventually(lambda: is_clean(federation, cluster), TIMEOUT, "the job has left no objects")


def _environment(pod: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}


def test_queued_jobs_complete(federation: Federation, tmp_path: Path) -> None:
    """NVFlare runs four of them at the same time, which keeps the machine busy; one waits."""
    sites = ("--site", "site-1", "--site", "site-2")
    federation.run("export", "fibonacci", str(tmp_path / "job"), "--set", "rounds=1", *sites)
    folder = next((tmp_path / "job").rglob("meta.json")).parent
    with open_session(AdminKit.read(federation.runtime.admin_kit(ADMIN))) as session:
        ids = {session.submit(folder, token=uuid.uuid4().hex) for _ in range(QUEUED_JOBS)}

        def jobs() -> list[Job]:
            return [job for job in session.jobs() if job.id in ids]

        eventually(lambda: all(job.is_finished for job in jobs()), 420, "all have finished", pause=1.0)
        finished = jobs()
    assert len(ids) == QUEUED_JOBS
    assert {job.status for job in finished} == {COMPLETED}, finished


@pytest.mark.parametrize("name", ["site-1", SERVER])
def test_a_job_completes_although_one_of_its_pods_was_deleted(
    federation: Federation, cluster: Cluster, name: str
) -> None:
    job_id = federation.submit("probe", rounds=10, seconds=2)

    def is_running() -> bool:
        pods = job_pods(federation, cluster, name)
        return bool(pods) and pods[0]["status"]["phase"] == "Running"

    eventually(is_running, TIMEOUT, f"{name} has a job pod")
    (deleted,) = pod_uids(federation, cluster, name)
    where = namespace(federation, name)
    cluster.kubectl("delete", "pod", "-n", where, "-l", "flare/role=job", "--wait=false")
    eventually(lambda: pod_uids(federation, cluster, name) - {deleted}, TIMEOUT, "the pod is created again")
    federation.wait_for_job(job_id, COMPLETED)
    eventually(lambda: is_clean(federation, cluster), TIMEOUT, "the job has left no objects")
