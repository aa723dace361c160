"""`up --runtime kubernetes` on new federations: what it installs, and how it fails."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.errors import Failed, InputError, MachineError
from deploy.project import Image
from deploy.runtimes.protocol import FederationStatus
from tests.federation.federation import SERVER, Federation, write_project
from tests.kubernetes.cluster import Cluster
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

BROKEN = {"components": [{"id": "broken", "path": "nowhere.Nothing", "args": {}}]}
OWN_VALUES: Mapping[str, dict[str, object]] = {
    "rejected": {"securityContext": {"allowPrivilegeEscalation": True}},
    "crash": {"kit": {"files": {"local": {"broken__p_resources.json": json.dumps(BROKEN)}}}},
    "unbound": {"persistence": {"storageClassName": "nowhere"}},
    "gpus": {"gpus": 9},
}
"""Values of site-1 with which `up` fails."""
TIMEOUTS = {"unbound": 20.0, "gpus": 10.0}
"""Timeouts of `up` in seconds, if waiting could help."""


def make(
    folder: Path, image: Image, sites: int = 1, edit: Callable[[dict[str, Any]], None] = lambda project: None
) -> Federation:
    """Provision a federation of a server and some sites."""
    folder.mkdir(exist_ok=True)
    file = write_project(folder, sites=sites, name=f"trial-{uuid.uuid4().hex[:6]}", image=image)
    document = yaml.safe_load(file.read_text())
    edit(document)
    file.write_text(yaml.safe_dump(document))
    return Federation(folder, "kubernetes")


def rename_server(project: dict[str, Any]) -> None:
    """Give the server a name that the cluster cannot look up, and two sites one namespace."""
    server, deployed = project["participants"][0], project["deployment"]["sites"]
    deployed["fl.example.org"] = deployed.pop(SERVER)
    deployed["site-2"] = deployed["site-1"]
    server["name"] = "fl.example.org"
    del server["default_host"]


@dataclass(frozen=True)
class Trial:
    """A federation, and the outcome of its first `up`."""

    federation: Federation
    outcome: Future[FederationStatus]

    @property
    def failure(self) -> str:
        error = self.outcome.exception()
        assert isinstance(error, Failed), error
        return str(error)


@pytest.fixture(scope="module")
def trials(cluster_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Trial]]:
    """Start federations at the same time; most of them fail."""
    folder = tmp_path_factory.mktemp("trials")
    federations = {name: make(folder / name, cluster_image) for name in OWN_VALUES}
    for name, values in OWN_VALUES.items():
        own = federations[name].workspace.release / "site-1" / "own.yaml"
        own.write_text(yaml.safe_dump(values))
    federations["image"] = make(folder / "image", Image(registry="registry.invalid/nowhere", tag="1"))
    federations["public"] = make(folder / "public", cluster_image, sites=3, edit=rename_server)
    with ThreadPoolExecutor() as pool:
        yield {
            name: Trial(federation, pool.submit(federation.up, TIMEOUTS.get(name)))
            for name, federation in federations.items()
        }
        for removed in [pool.submit(federation.remove) for federation in federations.values()]:
            removed.result()


def namespaces(cluster: Cluster, federation: Federation) -> list[str]:
    """Return the federation's namespaces that are not being deleted."""
    return [
        one["metadata"]["name"]
        for one in cluster.get("namespaces")["items"]
        if one["metadata"]["name"].startswith(f"{federation.project.name}-")
        and one["status"]["phase"] == "Active"
    ]


def test_sites_reach_a_server_with_a_public_name_by_its_service_and_two_share_a_namespace(
    trials: dict[str, Trial], cluster: Cluster
) -> None:
    assert trials["public"].outcome.result().is_ready

    federation = trials["public"].federation
    assert len(namespaces(cluster, federation)) == 3
    for command in (("up", "--runtime", "kubernetes"), ("submit", "fibonacci", "--set", "rounds=1")):
        federation.run(*command)


def test_a_missing_image_fails_up_immediately_with_a_remedy(trials: dict[str, Trial]) -> None:
    trial = trials["image"]

    assert re.search(r"invalid/nowhere/runtime:1-cpu cannot be pulled.*images push", trial.failure)
    assert "cannot be pulled" in trial.federation.site(SERVER).reason


def test_a_rejected_pod_is_reported_with_the_reason(trials: dict[str, Trial]) -> None:
    trial = trials["rejected"]
    assert re.search("site-1 is not ready: its pod is rejected: .*violates PodSecurity", trial.failure)

    (trial.federation.workspace.release / "site-1" / "own.yaml").unlink()
    assert trial.federation.up().is_ready


def test_a_parent_that_crashes_is_reported_with_its_reason_and_the_end_of_its_log(
    trials: dict[str, Trial],
) -> None:
    trial = trials["crash"]

    assert re.search(r"site-1 is not ready: .*broken \(nowhere\.Nothing\) cannot be imported", trial.failure)
    assert "The end of the log of site-1:" in trial.failure
    site = trial.federation.site
    eventually(lambda: "cannot be imported" in site("site-1").reason, 60, "status reports it")


def test_an_unbound_volume_is_reported(trials: dict[str, Trial]) -> None:
    failure = trials["unbound"].failure

    assert re.search('the volume claim workspace-site-1-0: .*"nowhere" not found', failure)
    assert "timeout of 20 s" in failure


def test_down_with_volumes_removes_everything(trials: dict[str, Trial], cluster: Cluster) -> None:
    failure, federation = trials["gpus"].failure, trials["gpus"].federation
    assert re.search("site-1 is not ready: no node can run its pod: .*Insufficient nvidia.com/gpu", failure)
    assert len(namespaces(cluster, federation)) == 2
    assert federation.flarefleet("down", "--runtime", "kubernetes", "--volumes").returncode == 0
    eventually(lambda: not namespaces(cluster, federation), what="its namespaces are deleted")
    assert federation.status().sites == ()


def test_an_unknown_context_is_rejected_before_anything_starts(cluster_image: Image, tmp_path: Path) -> None:
    federation = make(tmp_path, cluster_image)
    federation.runtime.contexts = {"": "nowhere"}
    with pytest.raises(MachineError, match="no usable context nowhere"):
        federation.up()
    federation.runtime.contexts = {"site-9": "nowhere"}
    with pytest.raises(InputError, match="there is no site site-9; available: flare-server, site-1"):
        federation.up()


def test_a_cluster_that_does_not_answer_is_reported_immediately(
    cluster: Cluster, cluster_image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = re.sub(r"https://127.0.0.1:\d+", "https://127.0.0.1:9", cluster.kubeconfig.read_text())
    (tmp_path / "kubeconfig").write_text(kubeconfig)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    federation = make(tmp_path, cluster_image)
    with pytest.raises(MachineError, match="does not answer"):
        federation.up()
