"""How sites in Kubernetes reach the server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from deploy.errors import InputError
from deploy.project import load_project
from deploy.runtimes.kubernetes.connectivity import (
    ServiceAddress,
    find_service_address,
    needs_service_address,
    server_values,
    site_values,
)
from deploy.runtimes.kubernetes.plan import InstallationPlan, make_participants, make_plan
from deploy.workspace import Workspace
from tests.federation.federation import write_project

NAME = "fl.example.org"
CLUSTER_IP = "10.96.0.7"
NODE = ("172.18.0.3", 30123)


class Installation:
    """A server and three sites.

    Args:
        folder: folder of project.yml.
        scheme: the driver.
        remote: context of site-3; the others are in `here`.
        server: the server's settings in project.yml.
    """

    def __init__(self, folder: Path, scheme: str = "http", remote: str = "here", **server: Any) -> None:
        file = write_project(folder, sites=3, scheme=scheme)
        document = yaml.safe_load(file.read_text())
        document["participants"][0] = {"name": NAME, "type": "server", "org": "clinics", **server}
        file.write_text(yaml.safe_dump(document))
        participants = make_participants(load_project(file), Workspace(folder / "workspace"))
        contexts = {"": "here", "site-3": remote}
        self.plan = make_plan(participants, contexts, InstallationPlan(), None)
        self.server = participants[self.plan.server.name]

    def values(self, site: str) -> dict[str, Any]:
        address = ServiceAddress(CLUSTER_IP, NODE)
        target = self.plan.member(site)
        assert target is not None
        return site_values(self.plan, target, self.server, address)

    @property
    def needs_address(self) -> bool:
        return needs_service_address(self.plan, self.server)


def test_sites_in_the_servers_cluster_use_its_service_although_it_has_a_public_name(tmp_path: Path) -> None:
    made = Installation(tmp_path)

    values = made.values("site-1")

    assert values["server"] == {"address": "fl-example-org.fl-example-org.svc:8002"}
    assert "namespaceSelector" in values["networkPolicy"]["server"]["to"][0]
    assert not made.needs_address
    assert server_values(made.plan, made.server) == {}


def test_with_grpc_they_dial_a_name_of_the_certificate_at_the_services_address(tmp_path: Path) -> None:
    made = Installation(tmp_path, "grpc")

    values = made.values("site-1")

    assert made.needs_address
    assert values["server"] == {"address": f"{NAME}:8002"}
    assert values["hostAliases"] == [{"ip": CLUSTER_IP, "hostnames": [NAME]}]


@pytest.mark.parametrize(
    "server",
    [{"default_host": "fl.fl.svc.cluster.local"}, {"host_names": ["fl-example-org.fl-example-org.svc"]}],
)
def test_with_grpc_they_dial_the_service_if_the_certificate_has_its_name(
    tmp_path: Path, server: dict[str, Any]
) -> None:
    made = Installation(tmp_path, "grpc", **server)

    assert not made.needs_address
    assert "hostAliases" not in made.values("site-1")


def test_the_name_of_a_service_in_project_yml_is_used_as_it_is(tmp_path: Path) -> None:
    assert Installation(tmp_path, default_host="fl.fl.svc").values("site-1") == {}


def test_a_site_in_another_cluster_uses_a_public_name(tmp_path: Path) -> None:
    made = Installation(tmp_path, remote="there")

    assert made.values("site-3") == {}
    assert not made.needs_address


def test_a_site_in_another_cluster_uses_a_node_port_if_there_is_no_public_name(tmp_path: Path) -> None:
    made = Installation(tmp_path, remote="there", name="flare-server", default_host="localhost")

    values = made.values("site-3")

    assert made.needs_address
    assert server_values(made.plan, made.server) == {"service": {"type": "NodePort"}}
    assert values["server"] == {"address": f"flare-server:{NODE[1]}"}
    assert values["hostAliases"] == [{"ip": NODE[0], "hostnames": ["flare-server"]}]
    assert values["networkPolicy"]["server"]["to"] == [{"ipBlock": {"cidr": f"{NODE[0]}/32"}}]


def test_the_addresses_of_the_service_are_found(tmp_path: Path) -> None:
    made = Installation(tmp_path, "grpc", "there", name="flare-server", default_host="localhost")
    port = SimpleNamespace(name="federation", node_port=NODE[1])
    headless = SimpleNamespace(cluster_ip="None", ports=[SimpleNamespace(name="federation", node_port=None)])
    services = [headless, SimpleNamespace(cluster_ip=CLUSTER_IP, ports=[port])]
    ready = SimpleNamespace(
        conditions=[SimpleNamespace(type="Ready", status="True")],
        addresses=[SimpleNamespace(type="InternalIP", address=NODE[0])],
    )
    core = SimpleNamespace(
        list_namespaced_service=lambda *_, **__: SimpleNamespace(
            items=[SimpleNamespace(spec=spec) for spec in services]
        ),
        list_node=lambda: SimpleNamespace(items=[SimpleNamespace(status=ready)]),
    )

    cluster: Any = SimpleNamespace(core=core, context="here")
    assert find_service_address(cluster, made.plan, made.server) == ServiceAddress(CLUSTER_IP, NODE)


def test_a_server_without_a_usable_name_is_rejected_before_anything_is_installed(tmp_path: Path) -> None:
    made = Installation(tmp_path, "grpc", name="localhost", default_host="192.0.2.7")

    with pytest.raises(InputError, match="Add one to the server's host_names and provision again"):
        _ = made.needs_address
