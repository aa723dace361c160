"""The Kubernetes runtime: restarts, drained nodes, kept volumes, and error messages."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import Failed, InputError
from deploy.project import Image
from deploy.runtimes.protocol import SiteState
from deploy.session.session import RUNNING
from fl_app.jobs.hospital.job import HospitalParameters
from tests.federation.federation import ADMIN, SERVER, Federation, set_options, write_project
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.hospital import assert_equals_local_training
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

PARAMETERS = HospitalParameters(rounds=2, local_epochs=1, hidden=7, seed=5)


@pytest.fixture(scope="module")
def federation(cluster_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a server and three sites."""
    folder = tmp_path_factory.mktemp("clinics")
    federation = Federation(
        write_project(folder, sites=3, name=f"clinics-{os.getpid()}", image=cluster_image, port=8002).parent,
        "kubernetes",
    )
    try:
        federation.run("up", "--runtime", "kubernetes")
        yield federation
    finally:
        federation.remove()


def test_each_participant_has_a_namespace_that_enforces_pod_security_restricted(
    federation: Federation, cluster: Cluster
) -> None:
    enforcing = cluster.get("namespaces", "-l", "pod-security.kubernetes.io/enforce=restricted")["items"]
    names = {one["metadata"]["name"] for one in enforcing}
    used = {site.where.split()[-1].partition("/")[0] for site in federation.status().sites}
    assert len(used) == 4
    assert used <= names


def test_hospital_in_processes_equals_local_training(federation: Federation, tmp_path: Path) -> None:
    submitted = federation.run("submit", "hospital", *set_options(PARAMETERS.model_dump(exclude_none=True)))
    assert "round 2 of 2" in submitted.stderr
    assert_equals_local_training(federation, submitted.stdout.strip(), PARAMETERS, tmp_path / "results")


def test_nvflares_console_reaches_the_server_through_the_cluster(federation: Federation) -> None:
    console = federation.flarefleet("console", typed=f"{ADMIN}\ncheck_status server\nbye\n")
    assert console.returncode == 0, console.stderr
    for site in ("site-1", "site-2", "site-3"):
        assert re.search(rf"\|\s*{site}\s*\|", console.stdout), console.stdout


def test_kubernetes_restarts_a_killed_site(federation: Federation, cluster: Cluster) -> None:
    namespace, _, pod = federation.site("site-1").where.split()[-1].partition("/")
    before = cluster.restarts(namespace, pod)
    federation.kill("site-1")
    eventually(lambda: cluster.restarts(namespace, pod) > before, what="Kubernetes restarts it")
    eventually(lambda: federation.site("site-1").state is SiteState.READY, 90, "it is ready again")


def test_following_logs_ends_when_the_pod_exits(federation: Federation) -> None:
    with federation.start("logs", "site-2", "--follow") as following:
        assert any("Successfully registered client:site-2" in line for line in following.stdout)
        federation.kill("site-2")
        following.stdout.read()
        assert following.wait(60) == 0
    federation.up()


def test_the_federation_is_ready_on_other_nodes_after_a_drain_during_a_job(
    federation: Federation, cluster: Cluster
) -> None:
    """NVFlare still reports the job as RUNNING, although it is lost with the server."""
    job_id = federation.submit("probe", rounds=100, seconds=1)

    federation.wait_for_job(job_id, RUNNING, 60)
    namespace, _, pod = federation.site(SERVER).where.split()[-1].partition("/")
    node = cluster.get("pod", "-n", namespace, pod)["spec"]["nodeName"]
    pods = (
        f"--pod-selector=app.kubernetes.io/part-of={federation.project.name}"  # others run on the node, too
    )
    try:
        cluster.kubectl("drain", node, pods, "--delete-emptydir-data", "--timeout=120s")
        assert federation.up().is_ready
        moved = cluster.get("pod", "-n", namespace, pod)["spec"]["nodeName"]
    finally:
        cluster.kubectl("uncordon", node)
    assert moved != node
    federation.wait_for_job(job_id, RUNNING, 1)
    # A site is ready for some seconds more after its server was replaced, until it registers again.
    submit = ("submit", "fibonacci", "--set", "rounds=1")
    eventually(lambda: federation.flarefleet(*submit).returncode == 0, 90, "a job completes")


def test_down_keeps_the_volumes_for_the_next_up(federation: Federation, cluster: Cluster) -> None:
    listed = federation.flarefleet("jobs", "--json").stdout
    assert json.loads(listed)
    federation.down()
    assert {site.state for site in federation.status().sites} == {SiteState.STOPPED}
    left = cluster.get("all,secrets,networkpolicies", "-n", f"{federation.project.name}-site-1")["items"]
    assert left == []
    with pytest.raises(Failed, match="not running"):
        federation.runtime.admin_kit(ADMIN)

    federation.up()

    assert [job["id"] for job in json.loads(federation.flarefleet("jobs", "--json").stdout)] == [
        job["id"] for job in json.loads(listed)
    ]


def test_another_federation_of_the_same_name_is_rejected(
    federation: Federation, tmp_path: Path, cluster_image: Image
) -> None:
    project = write_project(tmp_path, sites=2, name=federation.project.name, image=cluster_image)
    other = Federation(project.parent, "kubernetes")
    with pytest.raises(InputError, match="belongs to another federation called"):
        other.up()
    other.down()
    assert federation.status().is_ready


def test_a_site_that_was_removed_from_project_yml_is_uninstalled_and_its_volume_kept(
    federation: Federation, cluster: Cluster, cluster_image: Image
) -> None:
    namespace = f"{federation.project.name}-site-3"
    write_project(federation.folder, sites=2, name=federation.project.name, image=cluster_image, port=8002)
    for command in ("provision", "up"):
        federation.run(command)

    assert [site.name for site in federation.status().sites] == [SERVER, "site-1", "site-2"]
    assert cluster.get("all,secrets", "-n", namespace)["items"] == []
    assert len(cluster.get("pvc", "-n", namespace)["items"]) == 1
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
