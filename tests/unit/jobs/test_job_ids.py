"""Which job a user means."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from deploy.errors import InputError
from deploy.session.job import Job
from deploy.session.job_ids import choose_job, is_job, resolve_job

FIRST = "2853de48-a516-42ec-a326-7ccdddb7839c"
SECOND = "28b4b267-4659-43b1-a56f-2964ea4504ee"


def job(job_id: str, name: str) -> Job:
    return Job(job_id, name, "FINISHED:COMPLETED", "", datetime.now(timezone.utc), "", "", "")


JOBS = (job(FIRST, "hospital"), job(SECOND, "probe"))


@pytest.mark.parametrize(
    ("given", "expected"), [("latest", SECOND), ("285", FIRST), ("28B4", SECOND), (FIRST, FIRST)]
)
def test_a_job_is_found_by_the_beginning_of_its_id_or_as_the_latest(given: str, expected: str) -> None:
    assert choose_job(JOBS, given).id == expected


def test_several_jobs_that_match_are_listed() -> None:
    with pytest.raises(InputError) as error:
        choose_job(JOBS, "28")
    assert "2 jobs have an id that begins with 28" in str(error.value)
    assert f"{FIRST}  hospital  FINISHED:COMPLETED" in str(error.value)
    assert SECOND in str(error.value)


@pytest.mark.parametrize("given", ["ff", "hospital", ""])
def test_no_job_that_matches_is_an_error(given: str) -> None:
    with pytest.raises(InputError, match=f"there is no job {given}"):
        choose_job(JOBS, given)


def test_the_latest_of_no_jobs_is_an_error() -> None:
    with pytest.raises(InputError, match="there is no job on this server yet"):
        choose_job((), "latest")


def test_a_complete_id_needs_no_list_of_jobs() -> None:
    no_session: object = None
    assert resolve_job(no_session, FIRST.upper()) == FIRST  # type: ignore[arg-type]


def test_names_of_sites_are_told_from_jobs() -> None:
    assert all(map(is_job, ("latest", FIRST, "28b4", "28b4b267-4")))
    assert not any(map(is_job, ("site-1", "server", "", "hospital")))
