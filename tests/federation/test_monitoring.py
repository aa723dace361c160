"""`flarefleet monitor` with a running federation: every query of panels and alerts returns data."""

from __future__ import annotations

import os
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.monitoring.alerts import ALERTS
from deploy.monitoring.monitor import monitoring
from deploy.ports import free_ports
from tests.federation.federation import SERVER, Federation, running, write_project
from tests.prometheus import EMPTY, GPU, Prometheus, queries_without_result
from tests.skipping import skip_or_fail_in_ci
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.extended]

ANSWER_SECONDS = 180.0
INTERVAL = 1
"""Seconds between two scrapes."""


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Require Prometheus."""
    if shutil.which("prometheus") is None:
        skip_or_fail_in_ci("no prometheus on PATH (apt-get install prometheus)")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A running server and two sites."""
    folder = tmp_path_factory.mktemp("monitored")
    with running(folder, Federation, sites=2, name=f"monitored-{os.getpid()}") as federation:
        yield federation


@pytest.fixture(scope="module")
def prometheus(federation: Federation) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the federation while a job is running."""
    port, grafana_port = free_ports(2)
    with monitoring(federation.runtime, federation.workspace.monitor, port, grafana_port, INTERVAL) as made:
        job_id = federation.submit("probe", rounds=1000, seconds=2)
        yield Prometheus.at(made.prometheus.command.url)
        federation.flarefleet("abort", job_id)


def test_every_query_returns_data_or_is_listed_as_empty(
    federation: Federation, prometheus: Prometheus
) -> None:
    window = f"{10 * INTERVAL}s"
    empty = queries_without_result(prometheus, federation.project.name, ANSWER_SECONDS, EMPTY, window)
    assert not empty, "\n".join(f"{asked.by}: {asked.query}" for asked in empty)


def test_no_metric_with_data_is_listed_as_empty(prometheus: Prometheus) -> None:
    """A machine with GPUs has the GPU metrics."""
    found = {metric for metric, reason in EMPTY.items() if reason != GPU and prometheus.query(metric)}
    assert not found


def test_all_parents_are_scraped_with_their_labels(federation: Federation, prometheus: Prometheus) -> None:
    assert prometheus.up(federation.project.name) == {SERVER: "up", "site-1": "up", "site-2": "up"}
    (memory,) = prometheus.query('process_resident_memory_bytes{site="site-1"}')
    assert (memory["metric"]["project"], memory["metric"]["role"]) == (federation.project.name, "client")
    connected = prometheus.query('nvflare_registered{role="server"} == 1')
    assert {series["metric"]["site"] for series in connected} == {"site-1", "site-2"}


def test_series_of_a_job_have_its_name_as_label(prometheus: Prometheus) -> None:
    names = {series["metric"]["job"] for series in prometheus.query("nvflare_job_round")}
    assert names == {"probe"}


def test_every_alert_is_evaluated_and_none_fires(prometheus: Prometheus) -> None:
    rules = prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == len(ALERTS)
    assert not [rule["name"] for rule in rules if rule["state"] == "firing"]
    for rule in rules:
        link = rule["annotations"]["runbook_url"]
        assert Path(link.removeprefix("file://")).is_file()


def test_the_command_prints_its_url_and_stops_on_ctrl_c(federation: Federation) -> None:
    port, grafana_port = free_ports(2)
    with federation.start("monitor", "--port", str(port), "--grafana-port", str(grafana_port)) as process:
        assert process.stdout.readline() == f"Prometheus  http://127.0.0.1:{port}/alerts\n"
        prometheus = Prometheus.at(f"http://127.0.0.1:{port}")
        eventually(
            lambda: set(prometheus.up(federation.project.name).values()) == {"up"}, what="all are scraped"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=2)


def test_a_port_in_use_is_reported_with_its_process(federation: Federation, prometheus: Prometheus) -> None:
    url = federation.site("site-1").telemetry_url or ""
    taken = url.rpartition(":")[2]

    refused = federation.flarefleet("monitor", "--port", taken)

    assert refused.returncode == 3
    assert f"Port {taken} is in use by python" in refused.stderr
    assert "Choose another port for Prometheus: --port PORT" in refused.stderr


def test_a_missing_prometheus_is_reported_with_the_installation(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    refused = federation.flarefleet("monitor")

    assert refused.returncode == 3
    assert "apt-get install prometheus" in refused.stderr


def test_a_stopped_federation_is_not_monitored(tmp_path: Path) -> None:
    federation = Federation(write_project(tmp_path, sites=1).parent)

    refused = federation.flarefleet("monitor", "--port", str(free_ports(1)[0]))

    assert refused.returncode == 1
    assert "flarefleet up" in refused.stderr
