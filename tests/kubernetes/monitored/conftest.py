"""A federation with TensorBoard in the server's pod. Jobs run in processes at site-1, in pods at site-2."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.images.names import runtime_image
from deploy.project import Image
from deploy.session.session import RUNNING
from tests.federation.federation import SERVER, Federation, write_project
from tests.kubernetes.cluster import Cluster

SITES = ("site-1", "site-2")
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
LONG_JOB = {"rounds": 10_000, "seconds": 2}
"""Parameters with which `probe` runs longer than these tests, and leaves the processor to them."""


@dataclass(frozen=True)
class OtherNamespaces:
    """Two namespaces outside the federation, each with a pod."""

    allowed: str
    """The network policy of TensorBoard allows this one."""
    denied: str
    """No network policy allows this one."""


@dataclass(frozen=True)
class Monitored:
    """A running federation and its cluster."""

    cluster: Cluster
    federation: Federation

    @property
    def project(self) -> str:
        return self.federation.project.name

    def namespace(self, name: str) -> str:
        """Return the namespace of the server or a site."""
        return f"{self.project}-{name}"

    @property
    def namespaces(self) -> list[str]:
        return [self.namespace(name) for name in (SERVER, *SITES)]


def namespace_of(name: str) -> list[dict[str, object]]:
    """Return a namespace as the peer of a network policy."""
    return [{"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: name}}}]


@pytest.fixture(scope="package")
def other_namespaces(cluster: Cluster, cluster_image: Image) -> Iterator[OtherNamespaces]:
    """Create two namespaces, each with a pod `client`."""
    name = uuid.uuid4().hex[:6]
    made = OtherNamespaces(f"allowed-{name}", f"denied-{name}")
    for namespace in (made.allowed, made.denied):
        cluster.kubectl("create", "namespace", namespace)
    cluster.run_clients(runtime_image(cluster_image), made.allowed, made.denied)
    yield made
    cluster.kubectl("delete", "namespace", "--wait=false", made.allowed, made.denied)


@pytest.fixture(scope="package")
def monitored(
    cluster: Cluster,
    cluster_image: Image,
    other_namespaces: OtherNamespaces,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Monitored]:
    """Start a server with TensorBoard and two sites; site-2 runs its jobs in pods."""
    file = write_project(
        tmp_path_factory.mktemp("monitored"),
        sites=len(SITES),
        name=f"monitored-{os.getpid()}",
        image=cluster_image,
        port=8002,
    )
    _run_jobs_in_pods(file, SITES[1])
    federation = Federation(file.parent, "kubernetes")
    own = {
        "tensorboard": {"enabled": True},
        "networkPolicy": {"tensorboard": {"from": namespace_of(other_namespaces.allowed)}},
    }
    (federation.workspace.release / SERVER / "own.yaml").write_text(yaml.safe_dump(own))
    try:
        federation.run("up", "--runtime", "kubernetes")
        yield Monitored(cluster, federation)
    finally:
        federation.remove()


def _run_jobs_in_pods(file: Path, site: str) -> None:
    document = yaml.safe_load(file.read_text())
    document["deployment"]["sites"][site]["launcher"] = "pod"
    file.write_text(yaml.safe_dump(document))


@pytest.fixture(scope="package")
def job(monitored: Monitored) -> Iterator[str]:
    """Submit a job, and yield its id when it is running."""
    job_id = monitored.federation.submit("probe", **LONG_JOB)
    monitored.federation.wait_for_job(job_id, RUNNING, 60)
    yield job_id
    with suppress(OSError):
        monitored.federation.flarefleet("abort", job_id)
