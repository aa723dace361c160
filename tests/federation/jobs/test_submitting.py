"""Jobs submitted with the command line, and submissions that are rejected."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.federation.jobs.commands import ID, SITES, JobsFederation

pytestmark = pytest.mark.federation

SUBMISSIONS = {"watched": ("--set", "rounds=3"), "json": ("--json",), "one site": ("--site", "site-2")}


@pytest.fixture(scope="module")
def completed(federation: JobsFederation) -> dict[str, CompletedProcess[str]]:
    """The outcomes of `submit probe` with the options of SUBMISSIONS, which run at the same time."""
    started = {name: federation.start("submit", "probe", *options) for name, options in SUBMISSIONS.items()}
    outputs = {name: process.communicate(timeout=240) for name, process in started.items()}
    return {
        name: CompletedProcess(started[name].args, started[name].returncode, *output)
        for name, output in outputs.items()
    }


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_concurrent_submissions_complete(completed: dict[str, CompletedProcess[str]], name: str) -> None:
    assert completed[name].returncode == 0, completed[name].stderr


def test_a_job_is_watched_until_it_ends_with_its_rounds_and_metrics(
    completed: dict[str, CompletedProcess[str]],
) -> None:
    done = completed["watched"]
    assert ID.fullmatch(done.stdout.strip())
    assert "round 3 of 3" in done.stderr
    for site in SITES:
        assert re.search(rf"{site}: [123] rounds? done \(round [123]\)", done.stderr), done.stderr
    assert "final metrics:\n  site-1: round 3\n  site-2: round 3\n" in done.stderr
    assert f"Next: flarefleet fetch {done.stdout.strip()}" in done.stderr


def test_json_output_is_one_document(
    federation: JobsFederation, completed: dict[str, CompletedProcess[str]]
) -> None:
    job = json.loads(completed["json"].stdout)
    assert (job["name"], job["status"], job["errors"]) == ("probe", "FINISHED:COMPLETED", {})
    assert {name: site["rounds_done"] for name, site in job["progress"]["sites"].items()} == dict.fromkeys(
        SITES, job["progress"]["rounds"]
    )
    listed = [one["id"] for one in json.loads(federation.flarefleet("jobs", "--json").stdout)]
    assert {job["id"], completed["watched"].stdout.strip()} <= set(listed)


def test_a_job_can_run_on_one_site(completed: dict[str, CompletedProcess[str]]) -> None:
    assert "submitted to 1 site\n" in completed["one site"].stderr
    assert "site-1" not in completed["one site"].stderr


def test_results_are_fetched_into_a_new_folder(
    federation: JobsFederation, completed: dict[str, CompletedProcess[str]], tmp_path: Path
) -> None:
    job_id = completed["watched"].stdout.strip()
    results = tmp_path / "results"
    assert federation.flarefleet("fetch", job_id, str(results)).returncode == 0
    assert (results / "model" / "FL_global_model.pt").is_file()
    assert "Finished FedAvg" in (results / "logs" / "server.log.txt").read_text()
    progress = json.loads((results / "metrics" / "progress.json").read_text())
    assert (progress["round"], progress["sites"]["site-1"]["metrics"]) == (3, {"round": 3.0})
    assert not any((federation.admin_kit / "transfer").iterdir())

    again = federation.flarefleet("fetch", job_id, str(results))
    assert again.returncode == 2
    assert "is not an empty folder" in again.stderr


def test_a_job_that_fails_at_one_site_shows_its_exception(federation: JobsFederation) -> None:
    done = federation.flarefleet(
        "submit", "probe", "--set", "failing_site=site-2", "--set", "failing_round=2"
    )
    assert done.returncode == 1
    assert "ended FINISHED:EXECUTION_EXCEPTION" in done.stderr
    assert "ProbeFailure: site-2 failed on request in round 2" in done.stderr
    assert "site-1:" not in done.stderr.partition("ended FINISHED")[2]
    assert "site-packages/nvflare" not in done.stderr


def test_a_site_that_is_not_registered_is_reported_before_submission(federation: JobsFederation) -> None:
    before = len(json.loads(federation.flarefleet("jobs", "--json").stdout))
    done = federation.flarefleet(
        "submit", "probe", "--admin-kit", str(federation.admin_kit), "--site", "site-3"
    )
    assert done.returncode == 1
    assert "missing: site-3" in done.stderr
    assert len(json.loads(federation.flarefleet("jobs", "--json").stdout)) == before


def test_invalid_parameters_are_rejected_before_submission(federation: JobsFederation) -> None:
    done = federation.flarefleet("submit", "probe", "--set", "round=3", "--set", "seconds=soon")
    assert done.returncode == 2
    assert "did you mean rounds?" in done.stderr
    assert "seconds=soon" in done.stderr
    assert done.stdout == ""
