"""Jobs submitted with the command line, and submissions that are rejected."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deploy.session import AdminKit, open_session
from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import JobSites, export_process
from tests.federation.jobs.commands import ID, SITES, JobsFederation

pytestmark = pytest.mark.federation


def test_a_job_is_watched_until_it_ends_with_its_rounds_and_metrics(federation: JobsFederation) -> None:
    done = federation.flarefleet("submit", "probe", "--set", "rounds=3")
    assert done.returncode == 0, done.stderr
    assert ID.fullmatch(done.stdout.strip())
    assert "round 3/3" in done.stderr
    for site in SITES:
        assert re.search(rf"{site}: [123] rounds? done \(round [123]\)", done.stderr), done.stderr


def test_json_output_is_one_document(federation: JobsFederation) -> None:
    submitted = federation.flarefleet("submit", "probe", "--json")
    assert submitted.returncode == 0, submitted.stderr
    job = json.loads(submitted.stdout)
    assert (job["name"], job["status"], job["errors"]) == ("probe", "FINISHED:COMPLETED", {})
    listed = json.loads(federation.flarefleet("jobs", "--json").stdout)
    assert job["id"] in [one["id"] for one in listed]


def test_a_job_that_fails_at_one_site_shows_its_exception(federation: JobsFederation) -> None:
    done = federation.flarefleet(
        "submit", "probe", "--set", "failing_site=site-2", "--set", "failing_round=2"
    )
    assert done.returncode == 1
    assert "ended FINISHED:EXECUTION_EXCEPTION" in done.stderr
    assert "ProbeFailure: site-2 failed on request in round 2" in done.stderr
    assert "site-1:" not in done.stderr.partition("ended FINISHED")[2]
    assert "site-packages/nvflare" not in done.stderr


def test_two_concurrent_submissions_both_complete(federation: JobsFederation) -> None:
    both = [federation.start("submit", "probe") for _ in range(2)]
    ids = set()
    for process in both:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
        ids.add(out.strip())
    assert len(ids) == 2


def test_a_submission_repeated_with_its_token_is_one_job(federation: JobsFederation, tmp_path: Path) -> None:
    job = find_job("probe")
    with export_process(job) as exporting, open_session(AdminKit.read(federation.admin_kit)) as session:
        exported = exporting.export(read_parameters(job, ()), JobSites(SITES, chosen=False), tmp_path)
        first = session.submit(exported.folder, "token-of-this-test")
        again = session.submit(exported.folder, "token-of-this-test")
    assert first == again


def test_a_site_that_is_not_registered_is_reported_before_submission(federation: JobsFederation) -> None:
    before = len(json.loads(federation.flarefleet("jobs", "--json").stdout))
    done = federation.flarefleet(
        "submit", "probe", "--admin-kit", str(federation.admin_kit), "--site", "site-3"
    )
    assert done.returncode == 1
    assert "missing: site-3" in done.stderr
    assert len(json.loads(federation.flarefleet("jobs", "--json").stdout)) == before


def test_a_job_can_run_on_one_site(federation: JobsFederation) -> None:
    done = federation.flarefleet("submit", "probe", "--site", "site-2")
    assert done.returncode == 0, done.stderr
    assert "submitted to 1 site\n" in done.stderr
    assert "site-1" not in done.stderr


def test_invalid_parameters_are_rejected_before_submission(federation: JobsFederation) -> None:
    done = federation.flarefleet("submit", "probe", "--set", "round=3", "--set", "seconds=soon")
    assert done.returncode == 2
    assert "did you mean rounds?" in done.stderr
    assert "seconds=soon" in done.stderr
    assert done.stdout == ""
