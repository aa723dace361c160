"""The chart flare-monitoring on a running federation, with and without the Prometheus operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.monitoring.alerts import ALERTS
from tests.federation.federation import SERVER
from tests.kubernetes.cluster import CHECKOUT, Cluster
from tests.kubernetes.discovery import files_for
from tests.kubernetes.monitored.conftest import SITES, Monitored, OtherNamespaces, namespace_of
from tests.kubernetes.prometheus import (
    INTERVAL,
    LABEL,
    NAMESPACE,
    api_server,
    chart,
    generated_by_operator,
    install_operator,
    running,
)
from tests.prometheus import EMPTY_WITH_PODS, GPU, Prometheus, queries_without_result
from tests.unit.monitoring.boards import dashboards
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

ANSWER_SECONDS = 180.0
SCRAPED_SECONDS = 60.0
WITHOUT_OPERATOR = ("operator.enabled=false", "dashboards.enabled=false")
ALL_UP = dict.fromkeys((SERVER, *SITES), "up")
BY_ANNOTATIONS = f"""
global: {{scrape_interval: {INTERVAL}s}}
scrape_configs:
- job_name: kubernetes-pods
  honor_labels: true
  kubernetes_sd_configs: [{{role: pod}}]
  relabel_configs:
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
    action: keep
    regex: "true"
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
    target_label: __metrics_path__
    regex: (.+)
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port, __meta_kubernetes_pod_ip]
    regex: (\\d+);(.+)
    replacement: $2:$1
    target_label: __address__
  - source_labels: [__meta_kubernetes_namespace]
    target_label: namespace
"""
"""Scrape configuration for pods of the chart `prometheus` of prometheus-community, with `honor_labels`."""


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[str]:
    """Install the operator, and yield the URL of the API server."""
    install_operator(cluster)
    with api_server(cluster) as address:
        yield address


@pytest.fixture(scope="module")
def with_operator(
    cluster: Cluster, api: str, monitored: Monitored, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Run a Prometheus with the operator's configuration of the chart's PodMonitor and PrometheusRule."""
    with chart(cluster, "flare-monitoring", NAMESPACE, f"operator.labels.{LABEL}"):
        eventually(
            lambda: "podMonitor/monitoring/flare" in generated_by_operator(cluster)[0],
            what="the monitor is loaded",
        )
        eventually(lambda: generated_by_operator(cluster)[1], what="the alerts are loaded")
        configuration, rules = generated_by_operator(cluster)
        files = files_for(configuration, cluster) | rules
        with running(cluster, api, NAMESPACE, files, tmp_path_factory.mktemp("with_operator")) as made:
            yield made


@pytest.fixture(scope="module")
def without_operator(
    cluster: Cluster, api: str, monitored: Monitored, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Run a Prometheus with the chart's configuration for clusters without the operator."""
    here = f"scrape.namespaces={{{','.join(monitored.namespaces)}}}"
    with chart(cluster, "by-itself", NAMESPACE, *WITHOUT_OPERATOR, here):
        files = ready_files(cluster, "by-itself", NAMESPACE)
        with running(cluster, api, NAMESPACE, files, tmp_path_factory.mktemp("without_operator")) as made:
            yield made


def ready_files(cluster: Cluster, release: str, namespace: str) -> dict[str, str]:
    """Return the files of the chart's ConfigMap, with file discovery."""
    data: dict[str, str] = cluster.get("configmap", "-n", namespace, f"{release}-prometheus")["data"]
    return data | files_for(data["prometheus.yml"], cluster)


@pytest.fixture(params=["with_operator", "without_operator"])
def prometheus(request: pytest.FixtureRequest) -> Prometheus:
    """Return the Prometheus with the operator's configuration, and the one without."""
    found: Prometheus = request.getfixturevalue(request.param)
    return found


def test_every_parent_is_scraped_with_its_labels(prometheus: Prometheus, monitored: Monitored) -> None:
    eventually(lambda: prometheus.up(monitored.project) == ALL_UP, SCRAPED_SECONDS, "every parent is scraped")
    of_site = f'process_resident_memory_bytes{{project="{monitored.project}", site="site-1"}}'
    eventually(lambda: prometheus.query(of_site), what="the metric has a value")
    (memory,) = prometheus.query(of_site)
    assert (memory["metric"]["role"], memory["metric"]["job"]) == ("client", "flarefleet")


def test_every_query_has_data_or_a_documented_reason_to_be_empty(
    prometheus: Prometheus, monitored: Monitored, job: str
) -> None:
    empty = queries_without_result(
        prometheus, monitored.project, ANSWER_SECONDS, EMPTY_WITH_PODS, f"{10 * INTERVAL}s"
    )
    assert not empty, "\n".join(f"{asked.by}: {asked.query}" for asked in empty)


def test_no_metric_with_data_has_a_documented_reason_to_be_empty(
    with_operator: Prometheus, monitored: Monitored, job: str
) -> None:
    found = {
        metric
        for metric, reason in EMPTY_WITH_PODS.items()
        if reason != GPU and with_operator.query(f'{metric}{{project="{monitored.project}"}}')
    }
    assert not found


def test_every_alert_is_evaluated_and_none_fires(
    prometheus: Prometheus, monitored: Monitored, job: str
) -> None:
    eventually(lambda: len(prometheus.rules()) == len(ALERTS), SCRAPED_SECONDS, "the alerts are loaded")
    eventually(lambda: {rule["health"] for rule in prometheus.rules()} == {"ok"}, what="all are evaluated")
    for rule in prometheus.rules():
        firing = [alert for alert in rule["alerts"] if alert["state"] == "firing"]
        assert not [alert for alert in firing if alert["labels"].get("project") == monitored.project]
        assert (CHECKOUT / rule["annotations"]["runbook_url"]).is_file()


def test_every_dashboard_has_the_label_of_grafanas_sidecar(
    with_operator: Prometheus, cluster: Cluster
) -> None:
    found = cluster.get("configmaps", "--all-namespaces", "-l", "grafana_dashboard=1")["items"]

    boards = [json.loads(text) for one in found for text in one["data"].values()]
    assert sorted(board["title"] for board in boards) == sorted(
        f"Flarefleet / {name}" for name in dashboards()
    )


def test_a_prometheus_that_uses_annotations_scrapes_every_parent(
    cluster: Cluster, api: str, monitored: Monitored, tmp_path: Path
) -> None:
    files = files_for(BY_ANNOTATIONS, cluster)
    with running(cluster, api, NAMESPACE, files, tmp_path) as prometheus:
        ready = f'nvflare_ready{{project="{monitored.project}"}} == 1'
        eventually(
            lambda: {one["metric"]["site"] for one in prometheus.query(ready)} == {SERVER, *SITES},
            SCRAPED_SECONDS,
            "every parent is scraped",
        )
        assert {one["health"] for one in _targets_in(prometheus, monitored)} == {"up"}


def _targets_in(prometheus: Prometheus, monitored: Monitored) -> list[dict[str, str]]:
    targets = prometheus.get("targets")["activeTargets"]
    return [one for one in targets if one["labels"]["namespace"] in monitored.namespaces]


def test_a_prometheus_scrapes_a_parent_only_from_an_allowed_namespace(
    with_operator: Prometheus,
    api: str,
    monitored: Monitored,
    other_namespaces: OtherNamespaces,
    tmp_path: Path,
) -> None:
    eventually(
        lambda: with_operator.up(monitored.project) == ALL_UP, SCRAPED_SECONDS, "every parent is scraped"
    )
    cluster, elsewhere = monitored.cluster, other_namespaces.allowed
    site = ("site-1", "--namespace", monitored.namespace("site-1"))
    with (
        chart(cluster, "elsewhere", elsewhere, *WITHOUT_OPERATOR),
        running(cluster, api, elsewhere, ready_files(cluster, "elsewhere", elsewhere), tmp_path) as other,
    ):
        blocked = dict.fromkeys(ALL_UP, "down")
        eventually(lambda: other.up(monitored.project) == blocked, SCRAPED_SECONDS, "all reject it")
        named = f"networkPolicy.monitoring.from={json.dumps(namespace_of(elsewhere))}"
        chart_folder = str(CHECKOUT / "helm" / "flare-client")
        cluster.run("helm", "upgrade", *site, chart_folder, "--reuse-values", "--set-json", named)
        try:
            allowed = blocked | {"site-1": "up"}
            eventually(lambda: other.up(monitored.project) == allowed, SCRAPED_SECONDS, "site-1 accepts it")
            # The first Prometheus is not checked: a policy does not close its open connections.
        finally:
            cluster.run("helm", "rollback", *site)
