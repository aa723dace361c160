"""Metrics of jobs at the parents of a real federation: values, and expiry after the job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fl_app.contract import ENV_METRICS_KEPT, ENV_PUSH_TOKEN
from fl_app.launchers.restarts import MAX_DETERMINISTIC_RESTARTS
from fl_app.telemetry.catalogue import JOBS, PARENTS, ReportedBy
from tests.federation.federation import SERVER, Federation, running, set_options
from tests.prometheus import EMPTY
from tests.waiting import eventually

pytestmark = pytest.mark.federation

KEPT_SECONDS = 12
INTERVENTIONS = "nvflare_job_interventions_total"
ROUNDS = 4
NUMBERS = 1000
BYTES = 4 * NUMBERS


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a server and two sites that keep the series of a finished job for a few seconds.

    They fork no jobs: the kernel shows the environment of new processes only.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENV_METRICS_KEPT, str(KEPT_SECONDS))
        folder = tmp_path_factory.mktemp("metrics")
        with running(folder, Federation, sites=2, name=f"metrics-{os.getpid()}") as federation:
            yield federation


def families_of(federation: Federation, name: str) -> set[str]:
    """Return the families that a parent reports, by their names in the catalogue."""
    text = federation.ask(name, "/metrics")[1]
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(text)
        if family.samples
    }


def is_shown(federation: Federation, name: str) -> bool:
    """Return whether a parent reports a series of the job `probe`."""
    return 'job="probe"' in federation.ask(name, "/metrics")[1]


def job_process(federation: Federation, name: str) -> psutil.Process:
    """Return the job process of a parent."""
    return federation.parent(name).children()[0]


def test_both_parents_report_a_running_and_a_finished_job(federation: Federation) -> None:
    submitted = federation.start(
        "submit", "probe", *set_options({"rounds": ROUNDS, "seconds": 1, "numbers": NUMBERS})
    )
    eventually(
        lambda: (
            federation.metric(SERVER, "nvflare_rounds_participated_total", participant="site-1")
            and federation.metric("site-1", "nvflare_task_duration_seconds_count")
        ),
        120,
        "the first round is reported while the job is running",
    )
    seen = families_of(federation, SERVER) | families_of(federation, "site-1")

    assert federation.metric(SERVER, "nvflare_job_info", job="probe", role="server") == 1
    assert federation.metric("site-1", "nvflare_job_info", job="probe", site="site-1", role="client") == 1
    for name in (SERVER, "site-1"):
        process = job_process(federation, name)
        token = process.environ()[ENV_PUSH_TOKEN]
        assert token not in " ".join(process.cmdline())
        logs = [file for file in federation.run_folder.log(name).parent.rglob("*log*") if file.is_file()]
        assert logs
        assert not any(token.rpartition(".")[2] in file.read_text(errors="replace") for file in logs)
    assert submitted.wait(120) == 0

    known = {spec.full_name for spec in (*PARENTS.values(), *JOBS.values())}
    assert known - EMPTY.keys() <= seen
    assert {name for name in seen if name.startswith("nvflare_")} <= known
    metric = federation.metric
    assert metric(SERVER, "nvflare_job_round", job="probe", role="server") == ROUNDS
    assert metric("site-1", "nvflare_job_rounds", job="probe", role="client") == ROUNDS
    assert metric(SERVER, "nvflare_round_duration_seconds_count") == ROUNDS
    assert metric(SERVER, "nvflare_aggregation_duration_seconds_count") == ROUNDS
    assert metric("site-1", "nvflare_task_duration_seconds_count") == ROUNDS
    assert metric(SERVER, "nvflare_round_sites") == 2
    for site in ("site-1", "site-2"):
        assert metric(SERVER, "nvflare_rounds_participated_total", participant=site) == ROUNDS
        assert metric(SERVER, "nvflare_rounds_missed_total", participant=site) == 0
        assert metric(SERVER, "nvflare_training_metric", site=site, role="server", tag="round") == ROUNDS
        assert metric(SERVER, "nvflare_training_steps_total", site=site, role="server") == ROUNDS + 1
        assert metric(site, "nvflare_training_metric", site=site, role="client", tag="round") == ROUNDS
        assert metric(site, "nvflare_model_sent_bytes_total") == ROUNDS * BYTES
        assert metric(site, "nvflare_model_received_bytes_total") == ROUNDS * BYTES
    assert metric(SERVER, "nvflare_model_sent_bytes_total") == 2 * ROUNDS * BYTES
    assert metric(SERVER, "nvflare_model_received_bytes_total") == 2 * ROUNDS * BYTES


def test_the_series_of_a_finished_job_expire_and_its_counts_remain(federation: Federation) -> None:
    for name in (SERVER, "site-1"):
        eventually(lambda name=name: not is_shown(federation, name), 60, f"{name} no longer reports the job")

        assert federation.metric(name, "nvflare_jobs_started_total") == 1
        assert federation.metric(name, "nvflare_jobs_finished_total", result="completed") == 1
        assert federation.metric(name, "nvflare_jobs_finished_total", result="failed") == 0


def test_a_job_process_that_crashes_again_and_again_counts_as_failed(federation: Federation) -> None:
    submitted = federation.start("submit", "probe", *set_options({"rounds": 100, "seconds": 60}))
    eventually(
        lambda: federation.metric("site-1", "nvflare_job_round", job="probe"), 120, "the job is running"
    )

    for _ in range(1 + MAX_DETERMINISTIC_RESTARTS):
        eventually(lambda: federation.job_processes("site-1"), 60, "the job process runs")
        crashing = job_process(federation, "site-1")
        crashing.send_signal(signal.SIGSEGV)
        eventually(lambda one=crashing: not one.is_running(), 60, "the job process has crashed")

    eventually(
        lambda: federation.metric(SERVER, INTERVENTIONS, site="site-1", kind="restarted"),
        60,
        "the server counts the restarts",
    )
    assert submitted.wait(120) == 1
    for name in (SERVER, "site-1"):
        eventually(
            lambda name=name: federation.metric(name, "nvflare_jobs_finished_total", result="failed") == 1,
            60,
            f"{name} counts it as failed",
        )
        eventually(lambda name=name: not is_shown(federation, name), 60, f"{name} no longer reports the job")


def test_telemetry_has_no_errors_and_dropped_nothing(federation: Federation) -> None:
    for name in (SERVER, "site-1", "site-2"):
        text = federation.ask(name, "/metrics")[1]
        dropped = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in ("nvflare_telemetry_dropped_total", "nvflare_telemetry_errors_total")
            and sample.value
        ]

        assert dropped == []


def test_every_metric_is_reported_by_the_parents_in_the_catalogue(federation: Federation) -> None:
    server, site = families_of(federation, SERVER), families_of(federation, "site-1")

    for spec in PARENTS.values():
        if spec.full_name not in {*EMPTY, INTERVENTIONS}:  # its jobs have expired
            assert (spec.full_name in server) is (spec.reported_by is not ReportedBy.SITE), spec.name
            assert (spec.full_name in site) is (spec.reported_by is not ReportedBy.SERVER), spec.name
