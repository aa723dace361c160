"""A job that was submitted while one of its sites is away."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from nvflare.fuel.flare_api.api_spec import TargetType

from deploy.session import AdminKit, open_session
from deploy.session.session import COMPLETED
from tests.federation import guarded_jobs
from tests.federation.federation import ADMIN, Federation, eventually

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_it_says_whom_it_waits_for_and_begins_when_they_are_back(
    new_federation: Callable[..., Federation], tmp_path: Path
) -> None:
    federation = new_federation("clinics", sites=2)
    federation.up()
    folder = guarded_jobs.export(guarded_jobs.numpy_job("patient", ""), tmp_path / "jobs")
    process = federation.supervisor("site-2")
    with open_session(AdminKit.read(federation.kit(ADMIN))) as session:
        session._api.shutdown(TargetType.CLIENT, ["site-2"], wait=False)
        eventually(lambda: session.sites() == ("site-1",), 60, "site-2 has left")
        process.wait(60)

        job_id = session.submit(folder, uuid.uuid4().hex)
        eventually(lambda: "not registered: site-2" in session.job(job_id).waits_for, 30, "it waits")

        federation.up()
        eventually(lambda: session.job(job_id).is_finished, 240, "it has run")
        assert session.job(job_id).status == COMPLETED
