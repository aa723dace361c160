"""Network policies: allowed connections succeed, all others are blocked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from deploy.images.names import runtime_image
from deploy.project import Project
from deploy.workspace import Workspace
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.conftest import Federation

pytestmark = pytest.mark.kubernetes

SERVER, SITE_1, SITE_2 = (
    "flare-server.fed-server.svc",
    "site-1-headless.fed-site-1.svc",
    "site-2-headless.fed-site-2.svc",
)
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=4).close()
    print("reached")
except OSError as error:
    print("blocked", error)
"""


def reaches(cluster: Cluster, namespace: str, pod: str, host: str, port: int) -> bool:
    """Return whether a pod can connect to a port. The host name must resolve in any case."""
    output = cluster.exec(namespace, pod, "python3", "-c", CONNECT, host, str(port))
    assert "Name or service not known" not in output
    return output.startswith("reached")


@pytest.fixture(scope="module")
def other_pods(federation: Federation, project: tuple[Project, Workspace]) -> Iterator[Cluster]:
    """Run a pod in the namespace of monitoring, and one in a namespace without a role."""
    cluster = federation.cluster
    existing = {one["metadata"]["name"] for one in cluster.get("namespaces")["items"]}
    created = [name for name in ("monitoring", "elsewhere") if name not in existing]
    for name in created:
        cluster.kubectl("create", "namespace", name)
    image = runtime_image(project[0].image)
    sleeping = {"spec": {"terminationGracePeriodSeconds": 0}}
    for name in ("monitoring", "elsewhere"):
        cluster.kubectl(
            *("run", "-n", name, "client", f"--image={image}", "--image-pull-policy=Never", "--command"),
            *(f"--overrides={json.dumps(sleeping)}", "--", "sleep", "infinity"),
        )
    for name in ("monitoring", "elsewhere"):
        cluster.kubectl("wait", "-n", name, "pod/client", "--for=condition=Ready", "--timeout=60s")
    yield cluster
    for name in ("monitoring", "elsewhere"):
        cluster.kubectl("delete", "pod", "-n", name, "client", "--wait=false")
    cluster.remove_namespaces(*created) if created else None


@pytest.mark.parametrize(
    ("host", "port", "is_allowed"),
    [
        (SERVER, 8002, True),
        ("flare-server-headless.fed-server.svc", 9464, False),
        (SITE_2, 9464, False),
        (SITE_2, 8102, False),
    ],
)
def test_a_site_reaches_only_the_servers_federation_port(
    federation: Federation, host: str, port: int, is_allowed: bool
) -> None:
    assert reaches(federation.cluster, "fed-site-1", "site-1-0", host, port) is is_allowed


def test_a_site_does_not_reach_the_kubernetes_api(federation: Federation) -> None:
    assert not reaches(federation.cluster, "fed-site-1", "site-1-0", "kubernetes.default.svc", 443)


def test_a_site_reaches_no_other_pod(federation: Federation, other_pods: Cluster) -> None:
    address = other_pods.get("pod", "-n", "elsewhere", "client")["status"]["podIP"]
    for port in (80, 443, 8002):
        assert not reaches(federation.cluster, "fed-site-1", "site-1-0", address, port)


def test_the_server_reaches_no_site(federation: Federation) -> None:
    assert not reaches(federation.cluster, "fed-server", "flare-server-0", SITE_1, 9464)
    assert not reaches(federation.cluster, "fed-server", "flare-server-0", SITE_1, 8102)


@pytest.mark.parametrize(
    ("namespace", "host", "port", "is_allowed"),
    [
        ("monitoring", SITE_1, 9464, True),
        ("monitoring", "flare-server-headless.fed-server.svc", 9464, True),
        ("monitoring", SITE_1, 8102, False),
        ("elsewhere", SITE_1, 9464, False),
        ("elsewhere", "flare-server-headless.fed-server.svc", 9464, False),
        ("elsewhere", SERVER, 8002, True),
    ],
)
def test_other_pods_reach_only_the_allowed_ports(
    other_pods: Cluster, namespace: str, host: str, port: int, is_allowed: bool
) -> None:
    assert reaches(other_pods, namespace, "client", host, port) is is_allowed
