"""`up --runtime kubernetes` on new federations: what it installs, and how it fails."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.errors import Failed, InputError, MachineError
from deploy.project import Image
from tests.federation.federation import SERVER, Federation, write_project
from tests.kubernetes.cluster import Cluster
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes


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


def test_sites_reach_a_server_with_a_public_name_by_its_service_and_two_share_a_namespace(
    new: Callable[..., Federation], cluster: Cluster
) -> None:
    """No cluster can look up fl.example.org."""

    def rename_server(project: dict[str, Any]) -> None:
        server, deployed = project["participants"][0], project["deployment"]["sites"]
        deployed["fl.example.org"] = deployed.pop(SERVER)
        deployed["site-2"] = deployed["site-1"]
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
