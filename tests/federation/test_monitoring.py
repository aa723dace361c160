"""`flarefleet monitor` over a live federation: every query of panels and alerts brings data, or why not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.monitoring.watch import watching
from deploy.runtimes.ports import free_ports
from tests.federation.federation import SERVER, Federation, write_project
from tests.lacking import leave_out
from tests.prometheus import EMPTY, GPU, Prometheus, unanswered
from tests.waiting import eventually

pytestmark = pytest.mark.federation

ANSWER_SECONDS = 180.0
INTERVAL = 1
"""Seconds between two scrapes here."""


@dataclass(frozen=True)
class Watched:
    """A federation that runs `hospital` for longer than a test takes, and a Prometheus that scrapes it."""

    federation: Federation
    prometheus: Prometheus

    @property
    def project(self) -> str:
        return self.federation.project.name


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Prometheus, without which nothing here runs."""
    if shutil.which("prometheus") is None:
        leave_out("no prometheus on PATH (apt-get install prometheus)")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and two sites, up."""
    folder = tmp_path_factory.mktemp("watched")
    made = Federation(write_project(folder, sites=2, name=f"watched-{os.getpid()}").parent)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def watched(federation: Federation) -> Iterator[Watched]:
    """While `hospital` runs."""
    port, grafana_port = free_ports(2)
    with watching(federation.runtime, federation.workspace.monitor, port, grafana_port, INTERVAL) as watch:
        long = ("--set", "rounds=1000", "--set", "local_epochs=2", "--detach")
        submitted = federation.flarefleet("submit", "hospital", *long)
        assert submitted.returncode == 0, submitted.stderr
        yield Watched(federation, Prometheus.at(watch.prometheus.command.url))
        federation.flarefleet("abort", submitted.stdout.strip())


def test_every_query_of_every_panel_alert_and_variable_brings_data_or_has_a_reason_not_to(
    watched: Watched,
) -> None:
    window = f"{10 * INTERVAL}s"
    empty = unanswered(watched.prometheus, watched.project, ANSWER_SECONDS, EMPTY, window)
    assert not empty, "\n".join(f"{asked.by}: {asked.query}" for asked in empty)


def test_no_reason_is_given_for_what_has_data_after_all(watched: Watched) -> None:
    """A machine with GPUs has those series; nothing else may."""
    found = {metric for metric, reason in EMPTY.items() if reason != GPU and watched.prometheus.query(metric)}
    assert not found


def test_all_parents_are_scraped_and_named(watched: Watched) -> None:
    assert watched.prometheus.up(watched.project) == {SERVER: "up", "site-1": "up", "site-2": "up"}
    (memory,) = watched.prometheus.query('process_resident_memory_bytes{site="site-1"}')
    assert (memory["metric"]["project"], memory["metric"]["role"]) == (watched.project, "client")
    connected = watched.prometheus.query('nvflare_registered{role="server"} == 1')
    assert {series["metric"]["site"] for series in connected} == {"site-1", "site-2"}


def test_a_jobs_series_carry_its_name_and_not_that_of_the_scrape(watched: Watched) -> None:
    names = {series["metric"]["job"] for series in watched.prometheus.query("nvflare_job_round")}
    assert names == {"hospital"}


def test_every_alert_is_watched_and_none_fires_while_all_is_well(watched: Watched) -> None:
    rules = watched.prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == 11
    assert not [rule["name"] for rule in rules if rule["state"] == "firing"]
    for rule in rules:
        link = rule["annotations"]["runbook_url"]
        assert Path(link.removeprefix("file://")).is_file(), "the runbook is where the alert says"


@contextmanager
def monitor(federation: Federation, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, ended by Ctrl-C."""
    with subprocess.Popen(
        federation.command("monitor", *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def test_the_command_says_where_it_is_and_leaves_nothing_behind(federation: Federation) -> None:
    port, grafana_port = free_ports(2)
    with monitor(federation, "--port", str(port), "--grafana-port", str(grafana_port)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Prometheus  http://127.0.0.1:{port}/alerts\n"
        prometheus = Prometheus.at(f"http://127.0.0.1:{port}")
        eventually(
            lambda: set(prometheus.up(federation.project.name).values()) == {"up"}, what="all are scraped"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=2)


def test_a_taken_port_is_told_with_its_holder(federation: Federation, watched: Watched) -> None:
    url = federation.site("site-1").telemetry_url or ""
    taken = url.rpartition(":")[2]

    refused = federation.flarefleet("monitor", "--port", taken)

    assert refused.returncode == 3
    assert f"Port {taken} for Prometheus is taken: python" in refused.stderr
    assert "flarefleet monitor --port PORT" in refused.stderr


def test_without_prometheus_the_command_says_what_to_install(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    refused = federation.flarefleet("monitor")

    assert refused.returncode == 3
    assert "apt-get install prometheus" in refused.stderr


def test_a_federation_that_is_not_up_is_not_watched(tmp_path: Path) -> None:
    federation = Federation(write_project(tmp_path, sites=1).parent)

    refused = federation.flarefleet("monitor", "--port", str(free_ports(1)[0]))

    assert refused.returncode == 1
    assert "flarefleet up" in refused.stderr
