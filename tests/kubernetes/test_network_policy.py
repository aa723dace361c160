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

SERVER = "flare-server.fed-flare-server.svc:8002"
SERVERS_TELEMETRY = "flare-server-headless.fed-flare-server.svc:9464"
SITE_1, SITE_2 = "site-1-headless.fed-site-1.svc", "site-2-headless.fed-site-2.svc"
CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reaches(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=4).close()
    except socket.gaierror as error:
        return str(error)
    except OSError:
        return False
    return True
with ThreadPoolExecutor(20) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(reaches, sys.argv[1:])))))
"""


def connections(cluster: Cluster, namespace: str, pod: str, *addresses: str) -> dict[str, bool | str]:
    """Tell for each HOST:PORT whether a pod can connect to it, or why its host does not resolve."""
    return dict(json.loads(cluster.exec(namespace, pod, "python3", "-c", CONNECT, *addresses)))


@pytest.fixture(scope="module")
def other_pods(federation: Federation, project: tuple[Project, Workspace]) -> Iterator[Cluster]:
    """Run a pod in the namespace of monitoring, and one in a namespace without a role."""
    cluster = federation.cluster
    existing = {one["metadata"]["name"] for one in cluster.get("namespaces")["items"]}
    created = [name for name in ("monitoring", "elsewhere") if name not in existing]
    for name in created:
        cluster.kubectl("create", "namespace", name)
    cluster.run_clients(runtime_image(project[0].image), "monitoring", "elsewhere")
    yield cluster
    for name in ("monitoring", "elsewhere"):
        cluster.kubectl("delete", "pod", "-n", name, "client", "--wait=false")
    cluster.remove_namespaces(*created) if created else None


def test_a_site_reaches_only_the_servers_federation_port(federation: Federation, other_pods: Cluster) -> None:
    other = other_pods.get("pod", "-n", "elsewhere", "client")["status"]["podIP"]
    blocked = (
        *(SERVERS_TELEMETRY, f"{SITE_2}:9464", f"{SITE_2}:8102", "kubernetes.default.svc:443"),
        *(f"{other}:{port}" for port in (80, 443, 8002)),
    )
    found = connections(federation.cluster, "fed-site-1", "site-1-0", SERVER, *blocked)
    assert found == {SERVER: True} | dict.fromkeys(blocked, False)


def test_the_server_reaches_no_site(federation: Federation) -> None:
    sites = (f"{SITE_1}:9464", f"{SITE_1}:8102")
    found = connections(federation.cluster, "fed-flare-server", "flare-server-0", *sites)
    assert found == dict.fromkeys(sites, False)


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        ("monitoring", {f"{SITE_1}:9464": True, SERVERS_TELEMETRY: True, f"{SITE_1}:8102": False}),
        ("elsewhere", {f"{SITE_1}:9464": False, SERVERS_TELEMETRY: False, SERVER: True}),
    ],
)
def test_other_pods_reach_only_the_allowed_ports(
    other_pods: Cluster, namespace: str, expected: dict[str, bool]
) -> None:
    assert connections(other_pods, namespace, "client", *expected) == expected
