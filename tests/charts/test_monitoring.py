"""The chart flare-monitoring, with and without the Prometheus operator, and each of its values."""

from __future__ import annotations

import json
import lzma
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.charts.rendering import (
    HELM_FOLDER,
    NEWEST,
    OLDEST,
    Rendered,
    Values,
    overlaid,
    with_value,
)
from tests.charts.rendering import render as render_chart
from tests.skipping import skip_or_fail_in_ci

HERE = Path(__file__).parent
CHART = HELM_FOLDER / "flare-monitoring"
CRDS = HELM_FOLDER.parents[1] / "shared" / "cluster" / "monitoring" / "crds.yaml.xz"
OPERATORS_OWN = ("PodMonitor", "PrometheusRule")
NO_DASHBOARDS = {"dashboards": {"enabled": False}}
PLAIN = {"operator": {"enabled": False}}

VALUES: list[tuple[str, Any, Values]] = [
    # A value, its setting, and further values that it needs to have an effect.
    ("operator.enabled", False, {}),
    ("operator.labels", {"release": "kube-prometheus-stack"}, {}),
    ("scrape.namespaces", ["fed-server", "fed-site-1"], {}),
    ("scrape.namespaces", ["fed-server", "fed-site-1"], PLAIN),
    ("scrape.interval", "30s", {}),
    ("scrape.interval", "30s", PLAIN),
    ("scrape.timeout", "5s", {}),
    ("scrape.timeout", "5s", PLAIN),
    ("alerts.enabled", False, {}),
    ("alerts.enabled", False, PLAIN),
    ("alerts.without", ["JobPodPending"], {}),
    ("alerts.labels", {"team": "fl"}, {}),
    ("alerts.runbooks", "https://wiki.example.org/runbooks/", {}),
    ("dashboards.enabled", False, {}),
    ("dashboards.labels", {"grafana": "yes"}, {}),
    ("dashboards.annotations", {"grafana_folder": "Flarefleet"}, {}),
    ("commonLabels", {"example.org/team": "fl"}, {}),
    ("commonAnnotations", {"example.org/owner": "fl"}, {}),
    ("fullnameOverride", "watch", {}),
]


def render(values: Values | None = None, notes: bool = False) -> Rendered:
    return render_chart("flare-monitoring", values or {}, release="watcher", notes=notes)


def rules_of(rendered: Rendered) -> list[dict[str, Any]]:
    groups = rendered.one("PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def operator_schemas() -> dict[str, Any]:
    """Return the schemas of the operator's custom resources, from its release."""
    if not CRDS.exists():
        skip_or_fail_in_ci(f"{CRDS}, which has the operator's schemas, does not exist")
    text = lzma.decompress(CRDS.read_bytes())
    documents = yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    found = [one for one in documents if one and one["spec"]["names"]["kind"] in OPERATORS_OWN]
    return {
        one["spec"]["names"]["kind"]: strict(one["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        for one in found
    }


def strict(schema: Any) -> Any:
    """Return the schema without patterns that only Go understands; it rejects unknown keys."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: strict(part) for key, part in schema.items() if "(?i)" not in str(part) or key != "pattern"
    }
    if "properties" in closed and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed


def test_the_defaults_render_the_golden_file() -> None:
    file = HERE / "golden" / "flare-monitoring.yaml"
    text = render(NO_DASHBOARDS).text + render(overlaid(NO_DASHBOARDS, PLAIN)).text
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize(("path", "value", "also"), VALUES)
def test_every_value_changes_the_rendered_objects(path: str, value: Any, also: Values) -> None:
    assert render(with_value(path, value, also)).text != render(also).text


def test_every_value_is_tested() -> None:
    def leaves(part: Values, prefix: str = "") -> set[str]:
        is_section = {"operator", "scrape", "alerts", "dashboards"} & {prefix.rstrip(".")} or not prefix
        if not is_section:
            return {prefix.rstrip(".")}
        return {path for key, inner in part.items() for path in leaves(inner, f"{prefix}{key}.")}

    given = yaml.safe_load((CHART / "values.yaml").read_text())
    assert leaves(given) == {path for path, _, _ in VALUES}
    assert leaves(yaml.safe_load((HERE / "everything-monitoring.yaml").read_text())) == leaves(given)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_and_the_operator_accept_every_object(version: str) -> None:
    everything = yaml.safe_load((HERE / "everything-monitoring.yaml").read_text())
    on = overlaid(everything, {"alerts": {"enabled": True}, "dashboards": {"enabled": True}})
    for values in ({}, on, overlaid(on, {"operator": {"enabled": True}})):
        for one in render(values).objects:
            if one["kind"] in OPERATORS_OWN:
                jsonschema.validate(one, operator_schemas()[one["kind"]])
            else:
                kubernetes_validate.validate(one, version, strict=True)


def test_the_schemas_of_the_operator_detect_an_error() -> None:
    wrong = render().one("PodMonitor")
    wrong["spec"]["podMetricsEndpoints"][0]["honourLabels"] = True
    with pytest.raises(jsonschema.ValidationError, match="honourLabels"):
        jsonschema.validate(wrong, operator_schemas()["PodMonitor"])


def test_grafana_gets_each_generated_dashboard_unchanged() -> None:
    found = render().all("ConfigMap")
    made = {file.name: json.loads(file.read_text()) for file in (CHART / "dashboards").glob("*.json")}
    assert len(made) == 4
    assert all(one["metadata"]["labels"]["grafana_dashboard"] == "1" for one in found)
    assert {name: json.loads(text) for one in found for name, text in one["data"].items()} == made


def test_prometheus_gets_each_generated_alert_unchanged() -> None:
    made = yaml.safe_load((CHART / "rules" / "flarefleet.yaml").read_text())
    assert render().one("PrometheusRule")["spec"] == made
    assert yaml.safe_load(render(PLAIN).one("ConfigMap", "watcher-prometheus")["data"]["alerts.yaml"]) == made


def test_the_values_exclude_label_and_link_alerts() -> None:
    asked = {"without": ["JobFailed", "CertificateExpiring"], "labels": {"team": "fl", "severity": "low"}}
    rules = rules_of(render({"alerts": {**asked, "runbooks": "https://wiki.example.org/rb/"}}))
    assert {rule["alert"] for rule in rules_of(render())} - {rule["alert"] for rule in rules} == {
        "JobFailed",
        "CertificateExpiring",
    }
    assert all(rule["labels"]["team"] == "fl" for rule in rules)
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in rules)
    for rule in rules:
        link = rule["annotations"]["runbook_url"]
        assert link == f"https://wiki.example.org/rb/{rule['alert']}.md"


def test_both_scrape_configurations_set_the_same_labels() -> None:
    endpoint = render().one("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    plain = yaml.safe_load(render(PLAIN).one("ConfigMap", "watcher-prometheus")["data"]["prometheus.yml"])
    (scrape,) = plain["scrape_configs"]

    operators = {rule["targetLabel"] for rule in endpoint["relabelings"]}
    ours = {rule["target_label"] for rule in scrape["relabel_configs"] if "target_label" in rule}

    assert operators == {"job", "project", "site", "role"}
    assert ours >= operators - {"job"}
    assert scrape["job_name"] == endpoint["relabelings"][0]["replacement"] == "flarefleet"
    assert endpoint["honorLabels"] is scrape["honor_labels"] is True


def test_prometheus_scrapes_the_pods_of_the_other_charts() -> None:
    for chart, role in (("flare-server", "server"), ("flare-client", "client")):
        values = {"site": {"name": "site-1", "project": "hospitals"}, "key": {"existingSecret": "key"}}
        pod = render_chart(chart, values).pod
        labels, annotations = pod["metadata"]["labels"], pod["metadata"]["annotations"]
        assert labels["flare/role"] == role
        assert labels["flare/site"] == "site-1"
        assert labels["app.kubernetes.io/part-of"] == "hospitals"
        assert annotations["prometheus.io/scrape"] == "true"
        ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert str(ports["telemetry"]) == annotations["prometheus.io/port"]


def test_the_notes_name_the_next_commands() -> None:
    assert "get podmonitors,prometheusrules watcher" in render(notes=True).text
    assert "get configmap watcher-prometheus" in render(PLAIN, notes=True).text
