"""Who reaches whom, tried: a connection that must not be is refused, one that must be is made."""

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
    print("refused", error)
"""


def reaches(cluster: Cluster, namespace: str, pod: str, host: str, port: int) -> bool:
    """Whether a connection from the pod is made; the name must resolve either way where DNS is allowed."""
    said = cluster.exec(namespace, pod, "python3", "-c", CONNECT, host, str(port))
    assert "Name or service not known" not in said
    return said.startswith("reached")


@pytest.fixture(scope="module")
def strangers(federation: Federation, project: tuple[Project, Workspace]) -> Iterator[Cluster]:
    """A pod in the namespace of monitoring, and one that belongs to nobody."""
    cluster = federation.cluster
    existing = {one["metadata"]["name"] for one in cluster.get("namespaces")["items"]}
    mine = [name for name in ("monitoring", "elsewhere") if name not in existing]
    for name in mine:
        cluster.kubectl("create", "namespace", name)
    image = runtime_image(project[0].image)
    sleeping = {"spec": {"terminationGracePeriodSeconds": 0}}
    for name in ("monitoring", "elsewhere"):
        cluster.kubectl(
            *("run", "-n", name, "stranger", f"--image={image}", "--image-pull-policy=Never", "--command"),
            *(f"--overrides={json.dumps(sleeping)}", "--", "sleep", "infinity"),
        )
    for name in ("monitoring", "elsewhere"):
        cluster.kubectl("wait", "-n", name, "pod/stranger", "--for=condition=Ready", "--timeout=60s")
    yield cluster
    for name in ("monitoring", "elsewhere"):
        cluster.kubectl("delete", "pod", "-n", name, "stranger", "--wait=false")
    cluster.remove_namespaces(*mine) if mine else None


@pytest.mark.parametrize(
    ("host", "port", "may"),
    [
        (SERVER, 8002, True),
        ("flare-server-headless.fed-server.svc", 9464, False),
        (SITE_2, 9464, False),
        (SITE_2, 8102, False),
    ],
)
def test_a_site_reaches_the_servers_federation_port_and_nothing_else_of_the_federation(
    federation: Federation, host: str, port: int, may: bool
) -> None:
    assert reaches(federation.cluster, "fed-site-1", "site-1-0", host, port) is may


def test_a_site_does_not_reach_the_kubernetes_api(federation: Federation) -> None:
    assert not reaches(federation.cluster, "fed-site-1", "site-1-0", "kubernetes.default.svc", 443)


def test_a_site_does_not_reach_any_other_pod(federation: Federation, strangers: Cluster) -> None:
    address = strangers.get("pod", "-n", "elsewhere", "stranger")["status"]["podIP"]
    for port in (80, 443, 8002):
        assert not reaches(federation.cluster, "fed-site-1", "site-1-0", address, port)


def test_the_server_reaches_no_site(federation: Federation) -> None:
    assert not reaches(federation.cluster, "fed-server", "flare-server-0", SITE_1, 9464)
    assert not reaches(federation.cluster, "fed-server", "flare-server-0", SITE_1, 8102)


@pytest.mark.parametrize(
    ("namespace", "host", "port", "may"),
    [
        ("monitoring", SITE_1, 9464, True),
        ("monitoring", "flare-server-headless.fed-server.svc", 9464, True),
        ("monitoring", SITE_1, 8102, False),
        ("elsewhere", SITE_1, 9464, False),
        ("elsewhere", "flare-server-headless.fed-server.svc", 9464, False),
        ("elsewhere", SERVER, 8002, True),
    ],
)
def test_strangers_reach_only_what_is_theirs(
    strangers: Cluster, namespace: str, host: str, port: int, may: bool
) -> None:
    assert reaches(strangers, namespace, "stranger", host, port) is may
