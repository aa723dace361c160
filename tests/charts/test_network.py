"""The connections that the network policies allow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts.rendering import CHARTS, Rendered, minimal, overlaid, ports, render, with_value

POD = {"launcher": "pod"}


def policy(rendered: Rendered, name: str = "site-1") -> dict[str, Any]:
    return rendered.one("NetworkPolicy", name)["spec"]


def component(peers: list[dict[str, Any]]) -> str:
    (peer,) = peers
    assert "namespaceSelector" not in peer, "only of its own namespace"
    return peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]


@pytest.mark.parametrize("launcher", ["process", "pod"])
@pytest.mark.parametrize("chart", CHARTS)
def test_every_pod_has_a_policy_for_both_directions(chart: str, launcher: str) -> None:
    rendered = render(chart, overlaid(minimal(), {"launcher": launcher}))
    policies = rendered.all("NetworkPolicy")
    closed = {one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in policies}
    role = chart.removeprefix("flare-")
    assert closed == {role, "test"} | ({"job"} if launcher == "pod" else set())
    assert all(one["spec"]["policyTypes"] == ["Ingress", "Egress"] for one in policies)
    pods = [rendered.pod, rendered.test_pod]
    for pod in pods:
        labels = pod["metadata"]["labels"].items()
        assert any(one["spec"]["podSelector"]["matchLabels"].items() <= labels for one in policies)


def test_a_site_connects_only_to_dns_and_the_server() -> None:
    dns, server = policy(render("flare-client"))["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert [peer["namespaceSelector"]["matchLabels"] for peer in dns["to"]] == [
        {"kubernetes.io/metadata.name": "kube-system"}
    ]
    assert ports([server]) == {8002}


def test_the_cloud_metadata_address_is_blocked() -> None:
    for rendered in (render("flare-client"), render("flare-client", overlaid(minimal(), POD))):
        for rule in policy(rendered)["egress"]:
            for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
                assert block["cidr"] not in ("0.0.0.0/0", "::/0") or block["except"]


def test_only_monitoring_and_its_own_test_connect_to_a_site() -> None:
    monitoring, test = policy(render("flare-client"))["ingress"]
    assert ports([monitoring, test]) == {9464}
    assert monitoring["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert component(test["from"]) == "test"


def test_the_server_accepts_federation_connections_and_opens_none() -> None:
    rendered = policy(render("flare-server"))
    assert ports(rendered["ingress"]) == {8002, 9464}
    everybody = [rule for rule in rendered["ingress"] if "from" not in rule]
    assert [ports([rule]) for rule in everybody] == [{8002}]
    assert ports(rendered["egress"]) == {53}


def test_the_federation_port_can_be_restricted_to_addresses() -> None:
    values = with_value("networkPolicy.federation.from", [{"ipBlock": {"cidr": "198.51.100.0/24"}}])
    assert all(rule["from"] for rule in policy(render("flare-server", values))["ingress"])


def test_monitoring_can_be_denied() -> None:
    (test,) = policy(render("flare-client", with_value("networkPolicy.monitoring.from", [])))["ingress"]
    assert component(test["from"]) == "test"


def test_job_pods_connect_to_their_parent_and_the_parent_to_the_api() -> None:
    rendered = render("flare-client", overlaid(minimal(), POD))
    parent, jobs = policy(rendered), policy(rendered, "site-1-jobs")
    from_jobs = [rule for rule in parent["ingress"] if ports([rule]) == {8102, 9464}]
    assert [component(rule["from"]) for rule in from_jobs] == ["job"]
    assert {443, 6443} <= ports(parent["egress"])
    assert jobs["ingress"] == []
    to_parent = [rule for rule in jobs["egress"] if ports([rule]) == {8102, 9464}]
    assert [component(rule["to"]) for rule in to_parent] == ["client"]
    assert not {443, 6443} & ports(jobs["egress"])
    assert 8002 not in ports(jobs["egress"]), "a job has no key: only its parent connects to the server"


def test_each_rule_has_a_comment_with_client_and_server() -> None:
    text = render("flare-client", overlaid(minimal(), POD)).text
    rules = text.count("\n    - from:") + text.count("\n    - to:")
    assert rules == text.count(" --> ") - text.count("# none --> ")
