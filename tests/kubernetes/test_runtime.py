"""What is specific to the Kubernetes runtime, and its error messages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.errors import Failed, InputError, MachineError
from deploy.project import Image
from deploy.runtimes.protocol import SiteState
from fl_app.jobs.hospital.job import HospitalParameters
from tests.federation.federation import ADMIN, SERVER, Federation, write_project
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.hospital import assert_equals_local_training, parameter_options
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

PARAMETERS = HospitalParameters(rounds=2, local_epochs=1, hidden=7, seed=5)


@pytest.fixture(scope="module")
def clinics(cluster_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a server and three sites."""
    folder = tmp_path_factory.mktemp("clinics")
    made = Federation(
        write_project(folder, sites=3, name=f"clinics-{os.getpid()}", image=cluster_image, port=8002).parent,
        "kubernetes",
    )
    try:
        up = made.flarefleet("up", "--runtime", "kubernetes")
        assert up.returncode == 0, up.stderr
        yield made
    finally:
        made.remove()


@pytest.fixture
def new(cluster_image: Image, tmp_path: Path) -> Iterator[Callable[..., Federation]]:
    """Make provisioned federations of a server and some sites; remove them afterwards."""
    made: list[Federation] = []

    def make(
        own: dict[str, object] | None = None,
        image: Image = cluster_image,
        sites: int = 1,
        edit: Callable[[dict[str, Any]], None] = lambda project: None,
    ) -> Federation:
        file = write_project(tmp_path, sites=sites, name=f"trial-{uuid.uuid4().hex[:6]}", image=image)
        document = yaml.safe_load(file.read_text())
        edit(document)
        file.write_text(yaml.safe_dump(document))
        made.append(Federation(file.parent, "kubernetes"))
        if own is not None:
            (made[-1].workspace.release / "site-1" / "own.yaml").write_text(yaml.safe_dump(own))
        return made[-1]

    yield make
    for federation in made:
        federation.remove()


def namespaces(cluster: Cluster, federation: Federation) -> list[str]:
    """Return the federation's namespaces that are not being deleted."""
    return [
        one["metadata"]["name"]
        for one in cluster.get("namespaces")["items"]
        if one["metadata"]["name"].startswith(f"{federation.project.name}-")
        and one["status"]["phase"] == "Active"
    ]


def test_each_participant_has_a_namespace_that_enforces_pod_security_restricted(
    clinics: Federation, cluster: Cluster
) -> None:
    enforcing = cluster.get("namespaces", "-l", "pod-security.kubernetes.io/enforce=restricted")["items"]
    names = {one["metadata"]["name"] for one in enforcing}
    used = {site.where.split()[-1].partition("/")[0] for site in clinics.status().sites}
    assert len(used) == 4
    assert used <= names


def test_hospital_in_processes_equals_local_training(clinics: Federation, tmp_path: Path) -> None:
    submitted = clinics.flarefleet("submit", "hospital", *parameter_options(PARAMETERS))
    assert submitted.returncode == 0, submitted.stderr
    assert "round 2/2" in submitted.stderr
    assert_equals_local_training(clinics, submitted.stdout.strip(), PARAMETERS, tmp_path / "results")


def test_nvflares_console_reaches_the_server_through_the_cluster(clinics: Federation) -> None:
    console = subprocess.run(
        clinics.command("console"),
        input=f"{ADMIN}\ncheck_status server\nbye\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=clinics.folder,
    )
    assert console.returncode == 0, console.stderr
    for site in ("site-1", "site-2", "site-3"):
        assert re.search(rf"\|\s*{site}\s*\|", console.stdout), console.stdout


def test_kubernetes_restarts_a_killed_site(clinics: Federation, cluster: Cluster) -> None:
    namespace, _, pod = clinics.site("site-1").where.split()[-1].partition("/")

    def restarts() -> int:
        return cluster.get("pod", "-n", namespace, pod)["status"]["containerStatuses"][0]["restartCount"]

    before = restarts()
    clinics.kill("site-1")
    eventually(lambda: restarts() > before, what="Kubernetes restarts it")
    eventually(lambda: clinics.site("site-1").state is SiteState.READY, 90, "it is ready again")


def test_following_logs_ends_when_the_pod_exits(clinics: Federation) -> None:
    with subprocess.Popen(
        clinics.command("logs", "site-2", "--follow"), cwd=clinics.folder, stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        try:
            assert any("Successfully registered client:site-2" in line for line in following.stdout)
            clinics.kill("site-2")
            following.stdout.read()
            assert following.wait(60) == 0
        finally:
            following.kill()
    clinics.up()


def test_the_federation_is_ready_on_other_nodes_after_a_drain_during_a_job(
    clinics: Federation, cluster: Cluster
) -> None:
    """NVFlare still reports the job as RUNNING, although it is lost with the server."""
    submitted = clinics.flarefleet("submit", "probe", "--detach", "--set", "rounds=100", "--set", "seconds=1")
    assert submitted.returncode == 0, submitted.stderr
    job_id = submitted.stdout.strip()

    def status() -> str:
        listed = json.loads(clinics.flarefleet("jobs", "--json").stdout)
        return next(job["status"] for job in listed if job["id"] == job_id)

    eventually(lambda: status() == "RUNNING", 60, "the job is running")
    namespace, _, pod = clinics.site(SERVER).where.split()[-1].partition("/")
    node = cluster.get("pod", "-n", namespace, pod)["spec"]["nodeName"]
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
    try:
        cluster.kubectl(*drain)
        assert clinics.up().is_ready
        moved = cluster.get("pod", "-n", namespace, pod)["spec"]["nodeName"]
    finally:
        cluster.kubectl("uncordon", node)
    assert moved != node
    assert status() == "RUNNING"
    again = clinics.flarefleet("submit", "probe")
    assert again.returncode == 0, again.stderr


def test_down_keeps_the_volumes_for_the_next_up(clinics: Federation, cluster: Cluster) -> None:
    listed = clinics.flarefleet("jobs", "--json").stdout
    assert json.loads(listed)
    clinics.down()
    assert {site.state for site in clinics.status().sites} == {SiteState.STOPPED}
    left = cluster.get("all,secrets,networkpolicies", "-n", f"{clinics.project.name}-site-1")["items"]
    assert left == []
    with pytest.raises(Failed, match="not running"):
        clinics.runtime.admin_kit(ADMIN)

    clinics.up()

    assert [job["id"] for job in json.loads(clinics.flarefleet("jobs", "--json").stdout)] == [
        job["id"] for job in json.loads(listed)
    ]


def test_another_federation_of_the_same_name_is_rejected(
    clinics: Federation, tmp_path: Path, cluster_image: Image
) -> None:
    project = write_project(tmp_path, sites=2, name=clinics.project.name, image=cluster_image)
    other = Federation(project.parent, "kubernetes")
    with pytest.raises(InputError, match="belongs to another federation called"):
        other.up()
    other.down()
    assert clinics.status().is_ready


def test_a_site_that_was_removed_from_project_yml_is_uninstalled_and_its_volume_kept(
    clinics: Federation, cluster: Cluster, cluster_image: Image
) -> None:
    namespace = f"{clinics.project.name}-site-3"
    write_project(clinics.folder, sites=2, name=clinics.project.name, image=cluster_image, port=8002)
    for verb in ("provision", "up"):
        done = clinics.flarefleet(verb)
        assert done.returncode == 0, done.stderr

    assert [site.name for site in clinics.status().sites] == [SERVER, "site-1", "site-2"]
    assert cluster.get("all,secrets", "-n", namespace)["items"] == []
    assert len(cluster.get("pvc", "-n", namespace)["items"]) == 1
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def test_sites_reach_a_server_with_a_public_name_by_its_service_and_two_share_a_namespace(
    new: Callable[..., Federation], cluster: Cluster
) -> None:
    """No cluster can look up fl.example.org."""

    def rename_server(project: dict[str, Any]) -> None:
        server, namespaces = project["participants"][0], project["deployment"]["sites"]
        namespaces["fl.example.org"] = namespaces.pop(SERVER)
        namespaces["site-2"] = namespaces["site-1"]
        server["name"] = "fl.example.org"
        del server["default_host"]

    federation = new(sites=3, edit=rename_server)

    assert federation.up().is_ready

    assert len(namespaces(cluster, federation)) == 3
    submitted = federation.flarefleet("submit", "probe")
    assert submitted.returncode == 0, submitted.stderr


def test_a_missing_image_fails_up_at_once_with_a_remedy(new: Callable[..., Federation]) -> None:
    federation = new(image=Image(registry="registry.invalid/nowhere", tag="1"))
    with pytest.raises(
        Failed, match=r"registry\.invalid/nowhere/runtime:1-cpu cannot be pulled.*images push"
    ):
        federation.up()
    assert "cannot be pulled" in federation.site(SERVER).reason


def test_a_rejected_pod_is_reported_with_the_reason(new: Callable[..., Federation]) -> None:
    federation = new({"securityContext": {"allowPrivilegeEscalation": True}})
    with pytest.raises(Failed, match=r"site-1 is not ready: its pod is rejected: .*violates PodSecurity"):
        federation.up()

    own = federation.workspace.release / "site-1" / "own.yaml"
    own.unlink()
    assert federation.up().is_ready


def test_a_parent_that_crashes_is_reported_with_its_reason_and_the_end_of_its_log(
    new: Callable[..., Federation],
) -> None:
    broken = {"components": [{"id": "broken", "path": "nowhere.Nothing", "args": {}}]}
    federation = new({"kit": {"files": {"local": {"broken__p_resources.json": json.dumps(broken)}}}})
    with pytest.raises(
        Failed, match=r"site-1 is not ready: .*broken \(nowhere\.Nothing\) cannot be imported"
    ) as failure:
        federation.up()
    assert "The end of the log of site-1:" in str(failure.value)
    eventually(lambda: "cannot be imported" in federation.site("site-1").reason, 60, "status reports it")


def test_an_unbound_volume_is_reported(new: Callable[..., Federation]) -> None:
    federation = new({"persistence": {"storageClassName": "nowhere"}})
    with pytest.raises(
        Failed, match=r'the volume claim workspace-site-1-0: .*"nowhere" not found'
    ) as failure:
        federation.up(timeout=20)
    assert "timeout of 20 s" in str(failure.value)


def test_down_with_volumes_removes_everything(new: Callable[..., Federation], cluster: Cluster) -> None:
    federation = new({"gpus": 9})
    with pytest.raises(
        Failed, match=r"site-1 is not ready: no node can run its pod: .*Insufficient nvidia.com/gpu"
    ):
        federation.up(timeout=10)
    assert len(namespaces(cluster, federation)) == 2
    assert federation.flarefleet("down", "--runtime", "kubernetes", "--volumes").returncode == 0
    eventually(lambda: not namespaces(cluster, federation), what="its namespaces are deleted")
    assert federation.status().sites == ()


def test_an_unknown_context_is_rejected_before_anything_starts(
    new: Callable[..., Federation],
) -> None:
    federation = new()
    federation.runtime.contexts = {"": "nowhere"}
    with pytest.raises(MachineError, match="no usable context nowhere"):
        federation.up()
    federation.runtime.contexts = {"site-9": "nowhere"}
    with pytest.raises(InputError, match="there is no site site-9; available: flare-server, site-1"):
        federation.up()


def test_a_cluster_that_does_not_answer_is_reported_at_once(
    new: Callable[..., Federation], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = re.sub(r"https://127.0.0.1:\d+", "https://127.0.0.1:9", cluster.kubeconfig.read_text())
    (tmp_path / "kubeconfig").write_text(kubeconfig)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    federation = new()
    with pytest.raises(MachineError, match="does not answer"):
        federation.up()
    monkeypatch.undo()
