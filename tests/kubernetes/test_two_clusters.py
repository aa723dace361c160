"""A federation in two clusters: a site reaches the server in the other one through a node port."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.project import Image
from deploy.runtimes.protocol import SiteState
from tests.federation.federation import SERVER, Federation, write_project
from tests.kubernetes.cluster import CONTEXT, Cluster, bring_up, take_down

pytestmark = pytest.mark.kubernetes

SECOND = "second"


@pytest.fixture
def second(cluster: Cluster, cluster_image: Image) -> Iterator[Cluster]:
    """Create a second cluster of one node, with the image."""
    from deploy.images.names import runtime_image

    made = bring_up(SECOND, "--workers", "1")
    try:
        made.load(runtime_image(cluster_image))
        yield made
    finally:
        take_down(SECOND)


@pytest.fixture
def kubeconfig(cluster: Cluster, second: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merge the kubeconfigs of both clusters, whose users have the same name."""
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    other = yaml.safe_load(second.kubeconfig.read_text().replace("admin", "admin-of-second"))
    for part in ("clusters", "contexts", "users"):
        document[part] += other[part]
    file = tmp_path / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("KUBECONFIG", str(file))


def test_a_site_in_another_cluster_takes_part_in_a_job(
    kubeconfig: None, second: Cluster, cluster_image: Image, tmp_path: Path
) -> None:
    name = f"far-{uuid.uuid4().hex[:6]}"
    folder = write_project(tmp_path, sites=2, name=name, image=cluster_image).parent
    federation = Federation(folder, "kubernetes")
    try:
        federation.run(
            *("up", "--runtime", "kubernetes", "--context", CONTEXT, "--context", f"site-2={SECOND}")
        )
        assert second.get("pods", "-n", f"{name}-site-2", "-l", "flare/role=client")["items"]
        states = {site.name: site.state for site in federation.status().sites}
        assert states == dict.fromkeys((SERVER, "site-1", "site-2"), SiteState.READY)
        policy = second.get("networkpolicy", "-n", f"{name}-site-2", "site-2")
        assert "ipBlock" in str(policy["spec"]["egress"])

        submitted = federation.flarefleet("submit", "probe")

        assert submitted.returncode == 0, submitted.stderr
        assert "site-2: " in submitted.stderr
    finally:
        federation.remove()
