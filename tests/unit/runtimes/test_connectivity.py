"""How sites in Kubernetes reach the server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Object
from typing import Any

import pytest
import yaml

from deploy.errors import InputError
from deploy.project import load_project
from deploy.release.participant import participants_of
from deploy.runtimes.docker.runtime import DockerRuntime
from deploy.runtimes.kubernetes import connectivity
from deploy.runtimes.kubernetes.plan import InstallationPlan, make_plan
from deploy.workspace import Workspace
from tests.federation.federation import write_project

PUBLIC = {"name": "fl.example.org"}
LOCAL = {"name": "flare-server", "default_host": "localhost"}
SERVICE = "fl-example-org.fl-example-org.svc"
CLUSTER_IP, NODE, NODE_PORT = "10.96.0.7", "172.18.0.3", 30123


def cluster() -> Any:
    """Return a cluster with the server's Services and a ready node."""
    headless = Object(cluster_ip="None", ports=[Object(name="federation", node_port=None)])
    service = Object(cluster_ip=CLUSTER_IP, ports=[Object(name="federation", node_port=NODE_PORT)])
    services = Object(items=[Object(spec=headless), Object(spec=service)])
    ready = Object(type="Ready", status="True")
    node = Object(conditions=[ready], addresses=[Object(type="InternalIP", address=NODE)])
    core = Object(
        list_namespaced_service=lambda *_, **__: services,
        list_node=lambda: Object(items=[Object(status=node)]),
    )
    return Object(core=core, context="here")


def values_of_site_3(
    folder: Path, server: dict[str, Any], scheme: str = "http", context: str = "here"
) -> dict[str, Any]:
    """Return the values of site-3 in a context; the server is in `here`."""
    file = write_project(folder, sites=3, scheme=scheme)
    document = yaml.safe_load(file.read_text())
    document["participants"][0] = {"type": "server", "org": "clinics", **server}
    file.write_text(yaml.safe_dump(document))
    participants = participants_of(load_project(file), Workspace(folder / "workspace"))
    plan = make_plan(participants, {"": "here", "site-3": context}, InstallationPlan(), None)
    target, participant = plan.member("site-3"), participants[server["name"]]
    assert target is not None
    addresses = connectivity.ServiceAddresses()
    if connectivity.needs_service_address(plan, participant):
        addresses = connectivity.find_service_addresses(cluster(), plan, participant)
    return connectivity.site_values(plan, target, participant, addresses)


@pytest.mark.parametrize(
    ("server", "scheme", "address", "ip"),
    [
        (PUBLIC, "http", f"{SERVICE}:8002", None),
        (PUBLIC, "grpc", "fl.example.org:8002", CLUSTER_IP),
        (PUBLIC | {"host_names": [SERVICE]}, "grpc", f"{SERVICE}:8002", None),
        (LOCAL, "grpc", "flare-server:8002", CLUSTER_IP),
    ],
    ids=str,
)
def test_a_site_in_the_servers_cluster_uses_the_service_by_a_name_that_the_driver_accepts(
    tmp_path: Path, server: dict[str, Any], scheme: str, address: str, ip: str | None
) -> None:
    values = values_of_site_3(tmp_path, server, scheme)

    assert values["server"] == {"address": address}
    assert "namespaceSelector" in values["networkPolicy"]["server"]["to"][0]
    aliases = [{"ip": ip, "hostnames": [address.partition(":")[0]]}] if ip else None
    assert values.get("hostAliases") == aliases


@pytest.mark.parametrize(
    ("server", "context"),
    [(LOCAL, "here"), (PUBLIC | {"default_host": "fl.fl.svc.cluster.local"}, "here"), (PUBLIC, "there")],
    ids=str,
)
def test_the_values_of_the_release_suffice_if_the_site_can_resolve_the_servers_name(
    tmp_path: Path, server: dict[str, Any], context: str
) -> None:
    assert values_of_site_3(tmp_path, server, context=context) == {}


def test_a_site_in_another_cluster_uses_a_node_port_if_there_is_no_public_name(tmp_path: Path) -> None:
    values = values_of_site_3(tmp_path, LOCAL, context="there")

    assert values["server"] == {"address": f"flare-server:{NODE_PORT}"}
    assert values["hostAliases"] == [{"ip": NODE, "hostnames": ["flare-server"]}]
    assert values["networkPolicy"]["server"]["to"] == [{"ipBlock": {"cidr": f"{NODE}/32"}}]


@pytest.mark.parametrize("scheme", ["grpc", "http"])
@pytest.mark.parametrize(
    "server", [{"name": "localhost", "default_host": "192.0.2.7"}, {"name": "flare.localhost"}], ids=str
)
def test_a_server_with_a_loopback_name_is_rejected_before_anything_is_installed(
    tmp_path: Path, server: dict[str, Any], scheme: str
) -> None:
    with pytest.raises(InputError, match=r"is a loopback name.* another name, such as flare-server"):
        values_of_site_3(tmp_path, server, scheme)


def test_a_server_with_a_loopback_name_is_rejected_by_docker(tmp_path: Path) -> None:
    file = write_project(tmp_path, sites=1)
    file.write_text(file.read_text().replace("name: flare-server", "name: flare.localhost"))
    project = load_project(file)
    assert project.server.name == "flare.localhost"

    with pytest.raises(InputError, match=r"flare\.localhost is a loopback name"):
        DockerRuntime(project, Workspace(tmp_path / "workspace")).up()
