"""TensorBoard and trackers in the server chart: off by default, with least privilege if enabled."""

from __future__ import annotations

from functools import reduce
from typing import Any

from fl_app import contract
from tests.charts.rendering import Rendered, minimal, overlaid, ports, render

ON = {"tensorboard": {"enabled": True}}
SCIENCE = [{"namespaceSelector": {"matchLabels": {"team": "science"}}}]


def server(*values: dict[str, Any]) -> Rendered:
    return render("flare-server", reduce(overlaid, values, minimal()))


def container(rendered: Rendered, name: str) -> dict[str, Any]:
    spec = rendered.pod["spec"]
    return next(one for one in [*spec["containers"], *spec.get("initContainers", [])] if one["name"] == name)


def environment(rendered: Rendered) -> dict[str, str]:
    return {one["name"]: one["value"] for one in rendered.parent["env"]}


def test_tensorboard_and_trackers_are_off_by_default() -> None:
    rendered = server()

    assert [one["name"] for one in rendered.pod["spec"]["containers"]] == ["parent"]
    assert "initContainers" not in rendered.pod["spec"]
    assert not [one for one in rendered.all("Service") if one["metadata"]["name"].endswith("tensorboard")]
    assert contract.ENV_TRACKING not in rendered.text


def test_tensorboard_can_only_read_the_event_files() -> None:
    rendered = server(ON)
    tensorboard = container(rendered, "tensorboard")

    folder = f"{contract.WORKSPACE_PATH}/{contract.ANALYTICS_FOLDER}"
    mounts = {mount["name"]: mount for mount in tensorboard["volumeMounts"]}
    assert mounts.keys() == {"workspace", "tensorboard-tmp"}
    expected = {"mountPath": folder, "subPath": contract.ANALYTICS_FOLDER, "readOnly": True}
    assert mounts["workspace"] == {"name": "workspace", **expected}
    assert f"--logdir={folder}" in tensorboard["args"]
    assert "env" not in tensorboard
    assert tensorboard["securityContext"] == rendered.parent["securityContext"]
    assert container(rendered, "analytics-folder")["command"] == ["mkdir", "-p", folder]


def test_only_peers_of_the_values_connect_to_tensorboard() -> None:
    closed = server(ON).one("NetworkPolicy", "site-1")["spec"]["ingress"]
    assert contract.TENSORBOARD_PORT not in ports(closed)

    opened = server(ON, {"networkPolicy": {"tensorboard": {"from": SCIENCE}}})
    rules = opened.one("NetworkPolicy", "site-1")["spec"]["ingress"]
    (rule,) = [rule for rule in rules if contract.TENSORBOARD_PORT in ports([rule])]
    assert rule["from"] == SCIENCE


def test_the_service_forwards_to_tensorboard() -> None:
    rendered = server(ON, {"tensorboard": {"service": {"port": 8080}}})
    service = rendered.one("Service", "site-1-tensorboard")

    (port,) = service["spec"]["ports"]
    (own,) = container(rendered, "tensorboard")["ports"]
    assert (port["port"], port["targetPort"]) == (8080, own["name"])
    assert own["containerPort"] == contract.TENSORBOARD_PORT
    labels = rendered.pod["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_trackers_get_credentials_from_a_secret_and_an_egress_rule() -> None:
    where = [{"ipBlock": {"cidr": "192.0.2.44/32"}}]
    rendered = server(
        {"tracking": {"receivers": ["mlflow", "wandb"], "existingSecret": "trackers"}},
        {"networkPolicy": {"tracking": {"to": where, "ports": [5000]}}},
    )

    assert environment(rendered)[contract.ENV_TRACKING] == "mlflow,wandb"
    assert rendered.parent["envFrom"] == [{"secretRef": {"name": "trackers"}}]
    egress = rendered.one("NetworkPolicy", "site-1")["spec"]["egress"]
    assert [rule["to"] for rule in egress if ports([rule]) == {5000}] == [where]


def test_event_files_are_kept_unless_the_values_set_days() -> None:
    assert contract.ENV_ANALYTICS_KEEP_DAYS not in environment(server())
    assert environment(server({"analytics": {"keepDays": 90}}))[contract.ENV_ANALYTICS_KEEP_DAYS] == "90"
