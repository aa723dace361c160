"""Jobs that need more sites than exist or are registered."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from nvflare.fuel.flare_api.api_spec import TargetType

from deploy.errors import Failed
from deploy.session import AdminKit, open_session
from deploy.session.session import COMPLETED, NEVER_STARTED, AdminSession
from tests.federation.federation import ADMIN, Federation
from tests.federation.jobs.commands import job_for_five_sites, numpy_job
from tests.waiting import eventually

MISSING = "needs 5 sites, and 2 are registered (site-1, site-2)"
pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


@pytest.fixture
def session(federation: Federation) -> Iterator[AdminSession]:
    with open_session(AdminKit.read(federation.kit(ADMIN))) as opened:
        yield opened


def test_a_job_that_needs_more_sites_than_exist_is_refused(session: AdminSession, tmp_path: Path) -> None:
    with pytest.raises(Failed) as refused:
        session.submit(job_for_five_sites(tmp_path), uuid.uuid4().hex)
    assert f"{MISSING}; 3 more have never registered" in str(refused.value)
    assert "submit it for fewer sites" in str(refused.value)


def test_a_job_fails_after_its_own_wait_limit(
    federation: Federation, session: AdminSession, tmp_path: Path
) -> None:
    folder = job_for_five_sites(tmp_path, wait_for_sites=2)
    watched = federation.flarefleet("watch", session.submit(folder, uuid.uuid4().hex))
    assert watched.returncode == 1
    assert NEVER_STARTED in watched.stderr
    assert MISSING in watched.stderr


def test_a_job_that_waits_is_shown_with_the_reason_and_is_one_job_however_often_it_is_submitted(
    federation: Federation, session: AdminSession, tmp_path: Path
) -> None:
    folder = job_for_five_sites(tmp_path, wait_for_sites=600)
    job_id, again = (session.submit(folder, "token-of-a-job-that-waits") for _ in range(2))
    assert again == job_id
    done = federation.flarefleet("watch", job_id, "--timeout", "5")
    assert done.returncode == 1
    assert "has not ended within 5 s: it is SUBMITTED" in done.stderr
    assert MISSING in done.stderr
    assert f"{job_id} is waiting to start: " in federation.flarefleet("jobs").stdout
    assert federation.flarefleet("abort", job_id).returncode == 0


def test_a_job_starts_when_its_missing_site_is_registered_again(
    federation: Federation, session: AdminSession, tmp_path: Path
) -> None:
    process = federation.supervisor("site-2")
    session._requests.api.shutdown(TargetType.CLIENT, ["site-2"], wait=False)
    eventually(lambda: session.sites() == ("site-1",), 60, "site-2 has left")
    process.wait(60)

    job_id = session.submit(numpy_job(tmp_path), uuid.uuid4().hex)
    eventually(lambda: ": site-2" in session.job(job_id).waits_for, 30, "the job waits")

    federation.up()
    eventually(lambda: session.job(job_id).is_finished, 240, "the job has finished")
    assert session.job(job_id).status == COMPLETED
