"""Every value of the charts has its documented effect; unknown and invalid values are rejected."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.charts.rendering import (
    CHARTS,
    HELM_FOLDER,
    RefusedError,
    Values,
    everything,
    minimal,
    overlaid,
    read_schema,
    render,
    with_value,
)

PREREQUISITES: dict[str, Values] = {
    # Values that have an effect only together with another value, and that other value.
    "image.tag": {"image": {"digest": ""}},
    "kit.configMap.startup": {"kit": {"source": "configMap"}},
    "kit.configMap.local": {"kit": {"source": "configMap"}},
    "kit.source": {"kit": {"configMap": {"startup": "", "local": ""}}},
    "kit.files.startup": {"kit": {"files": {"startup": {"other": ""}}}},
    **{
        f"persistence.{name}": {"persistence": {"existingClaim": ""}}
        for name in ("size", "storageClassName", "accessModes", "annotations", "whenDeleted")
    },
}
OTHER_VALUES: dict[str, Any] = {
    # Values that `everything` leaves at their default, or that are required, with another value for each.
    "site.name": "site-9",
    "key.existingSecret": "another",
    "kit.files.startup": {"another": ""},
    "kit.files.local": {"another": ""},
    "kit.configMap.startup": "another",
    "kit.configMap.local": "another",
    "persistence.enabled": False,
    "serviceAccount.create": False,
    "rbac.create": False,
    "podDisruptionBudget.enabled": False,
    "networkPolicy.enabled": False,
    "ingress.host": "other.example.org",
    "tlsRoute.hostnames": ["other.example.org"],
}


def leaves(schema: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted paths of all values of a chart."""
    paths = []
    for name, part in schema["properties"].items():
        is_section = part.get("additionalProperties") is False and "description" not in part
        if is_section:
            paths += leaves(part, f"{prefix}{name}.")
        elif f"{prefix}{name}" not in ("global", "flare-common"):
            paths.append(f"{prefix}{name}")
    return paths


def value_at(values: Values, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


def without(values: Values, path: str) -> Values:
    result = deepcopy(values)
    *parents, last = path.split(".")
    inner = result
    for key in parents:
        inner = inner[key]
    del inner[last]
    return result


ON_BOTH = leaves(read_schema("flare-client"))
SERVER_ONLY = [path for path in leaves(read_schema("flare-server")) if path not in ON_BOTH]
CASES = [("flare-client", path) for path in ON_BOTH] + [("flare-server", path) for path in SERVER_ONLY]


@pytest.mark.parametrize("chart", CHARTS)
def test_the_values_file_of_everything_sets_every_value(chart: str) -> None:
    defaults = yaml.safe_load((HELM_FOLDER / chart / "values.yaml").read_text())
    for path in leaves(read_schema(chart)):
        given = value_at(everything(chart), path)
        assert given != value_at(defaults, path) or path in OTHER_VALUES, f"{path} is at its default"


@pytest.mark.parametrize(("chart", "path"), CASES)
def test_every_value_changes_the_rendered_objects(chart: str, path: str) -> None:
    on = overlaid(everything(chart), PREREQUISITES.get(path, {}))
    off = without(on, path)
    if path in OTHER_VALUES:
        off = with_value(path, OTHER_VALUES[path], off)
    assert render(chart, on).text != render(chart, off).text


INVALID = [
    ("client", "persistance.size", "1Gi", "persistance"),
    ("client", "image.repo", "x", "repo"),
    ("client", "networkPolicy.dns.port", 53, "port"),
    ("client", "tolerations", [{"keys": "x"}], "keys"),
    ("client", "resources.limit", {}, "limit"),
    ("client", "launcher", "docker", "launcher"),
    ("client", "gpus", -1, "gpus"),
    ("client", "gpus", "2", "gpus"),
    ("client", "ports.telemetry", 99999, "telemetry"),
    ("client", "persistence.size", "lots", "size"),
    ("client", "datasets", {"training": {"claim": "x", "mode": "write"}}, "mode"),
    ("client", "datasets", {"Training_1": {"claim": "x"}}, "Training_1"),
    ("client", "kit.files.startup", {"client.key": "-----BEGIN PRIVATE KEY-----"}, "client.key"),
    ("client", "key.existingSecret", "", "existingSecret"),
    ("client", "site.name", "", "name"),
    ("client", "server.address", "flare.example.org", "address"),
    ("client", "fullnameOverride", "Site_1", "fullnameOverride"),
    ("client", "image.digest", "sha256:abc", "digest"),
    ("client", "extraEnv", [{"name": "A", "vale": "b"}], "vale"),
    ("client", "podDisruptionBudget.maxUnavailable", 3, "maxUnavailable"),
    ("server", "analytics.keepDays", 0, "keepDays"),
    ("server", "tracking.receivers", ["mflow"], "receivers"),
    ("server", "tensorboard.pathPrefix", "curves", "pathPrefix"),
    ("server", "tensorboard.enable", True, "enable"),
    ("monitoring", "operater.enabled", True, "operater"),
    ("monitoring", "scrape.interval", "often", "interval"),
    ("monitoring", "scrape.namespaces", "fed-server", "namespaces"),
    ("monitoring", "alerts.without", ["ServerDwn"], "without"),
    ("monitoring", "dashboards.label", {}, "label"),
    ("monitoring", "fullnameOverride", "Watch_1", "fullnameOverride"),
]


@pytest.mark.parametrize(("chart", "path", "value", "name"), INVALID)
def test_an_invalid_value_is_rejected_with_its_name(chart: str, path: str, value: Any, name: str) -> None:
    with pytest.raises(RefusedError, match=name):
        render(f"flare-{chart}", with_value(path, value, {} if chart == "monitoring" else None))


@pytest.mark.parametrize("missing", ["site", "key"])
@pytest.mark.parametrize("chart", CHARTS)
def test_a_missing_required_value_is_named(chart: str, missing: str) -> None:
    values = minimal()
    del values[missing]
    with pytest.raises(RefusedError, match=missing):
        render(chart, values)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("values", r"give -f the values\.yaml that provisioning wrote"),
        ("configMap", r"kit\.configMap\.startup"),
    ],
)
def test_a_source_without_a_kit_is_rejected(source: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        render("flare-client", with_value("kit.source", source))


@pytest.mark.parametrize("section", ["ingress", "tlsRoute"])
def test_tls_passthrough_without_a_host_name_is_rejected(section: str) -> None:
    with pytest.raises(RefusedError, match="of the server certificate"):
        render("flare-server", with_value(f"{section}.enabled", True))


def test_labels_and_annotations_of_the_service_do_not_mix() -> None:
    service = {"labels": {"exposed": "true"}, "annotations": {"example.org/balancer": "nlb"}}
    common = {
        "commonLabels": {"team": "fl", "exposed": "false"},
        "commonAnnotations": {"example.org/by": "us"},
    }
    rendered = render("flare-server", overlaid(minimal(), {"service": service, **common}))

    metadata = rendered.one("Service", "site-1")["metadata"]

    assert metadata["annotations"] == {"example.org/balancer": "nlb", "example.org/by": "us"}
    assert metadata["labels"].items() >= {"exposed": "true", "team": "fl"}.items()


@pytest.mark.parametrize("launcher", ["process", "pod"])
def test_own_variables_do_not_replace_those_of_project_yml(launcher: str) -> None:
    environment = {"FLARE_TASK_TIMEOUT": "60", "WANDB_NOTES": 'a: "b"'}
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    values = {"launcher": launcher, "environment": environment, "extraEnv": [proxy]}

    rendered = render("flare-server", overlaid(minimal(), values))

    expected = [*({"name": name, "value": value} for name, value in environment.items()), proxy]
    container = rendered.one("StatefulSet", "site-1")["spec"]["template"]["spec"]["containers"][0]
    assert [one for one in container["env"] if one in expected] == expected
    if launcher == "pod":
        jobs = yaml.safe_load(rendered.one("ConfigMap", "site-1-jobs")["data"]["study_runtime.yaml"])
        pod = jobs["studies"]["default"]["pod_template"] if "studies" in jobs else {}
        assert pod["spec"]["containers"][0]["env"] == expected
