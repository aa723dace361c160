"""The pending reason of a job's pod on the server, from the parent to `flarefleet watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.app_common.storages.filesystem_storage import FilesystemStorage

from deploy.cli.job_tables import print_jobs
from deploy.session.display import status_text
from deploy.session.session import Job
from fl_app.launchers.pending_jobs import PendingJobs
from tests.unit.launchers.test_job_pod import Namespace, Reported, launched
from tests.unit.launchers.test_manifest import PLAN
from tests.unit.launchers.test_pod_failure import pod, unschedulable

NO_ROOM = "0/3 nodes are available: 2 Insufficient nvidia.com/gpu."


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStorage:
    return FilesystemStorage(str(tmp_path))


@pytest.fixture
def context(store: FilesystemStorage) -> FLContext:
    """The context of NVFlare's server, with the store of its jobs."""
    engine = create_autospec(ServerEngineSpec, instance=True)
    engine.get_component.return_value = store
    made = FLContext()
    made.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    return made


@pytest.fixture
def jobs(tmp_path: Path, context: FLContext) -> PendingJobs:
    """A job manager with the job whose pod `launched` creates."""
    made = PendingJobs(str(tmp_path / "jobs"))
    made.create({"job_id": PLAN.job_id, "name": "hospital"}, b"", context)
    return made


def listed(jobs: PendingJobs, context: FLContext) -> Job:
    """Return the job as an administrator's session reads it, from the list and by its id."""
    (one,) = jobs.get_all_jobs(context)
    asked = jobs.get_job(PLAN.job_id, context)
    assert asked is not None
    assert asked.meta == one.meta
    return Job.of(one.meta)


def test_a_job_has_the_pending_reason_until_its_pod_on_the_server_runs(
    jobs: PendingJobs, context: FLContext
) -> None:
    seen: list[str] = []

    class Watched(Namespace):
        def watch_pod(self, name: str, uid: str, seconds: int) -> Any:
            yield from super().watch_pod(name, uid, seconds)
            seen.append(listed(jobs, context).server_waits_for)

    launched(Watched([unschedulable(NO_ROOM), pod("Running"), pod("Succeeded")]), Reported()).wait()
    assert seen[0] == NO_ROOM
    assert listed(jobs, context).server_waits_for == ""


def test_the_pending_reason_is_not_stored_and_ends_with_the_pod(
    jobs: PendingJobs, context: FLContext, store: FilesystemStorage
) -> None:
    pending = launched(Namespace([unschedulable(NO_ROOM)]), Reported())
    pending._observe(unschedulable(NO_ROOM))
    assert listed(jobs, context).server_waits_for == NO_ROOM
    assert NO_ROOM not in str(store.get_meta(jobs.job_uri(PLAN.job_id)))
    pending.terminate()
    assert listed(jobs, context).server_waits_for == ""


def test_an_unknown_job_is_not_found(jobs: PendingJobs, context: FLContext) -> None:
    assert jobs.get_job("00000000-0000-4000-8000-000000000000", context) is None


def test_watch_and_jobs_show_the_pending_reason(capsys: pytest.CaptureFixture[str]) -> None:
    meta = {"job_id": "j1", "name": "hospital", "status": "RUNNING", "flarefleet.server_waits_for": NO_ROOM}
    waits, runs = Job.of(meta), Job.of({**meta, "job_id": "j2", "flarefleet.server_waits_for": ""})
    assert status_text(waits) == f"hospital: RUNNING, the server is waiting for its job pod: {NO_ROOM}"
    assert status_text(runs) == "hospital: RUNNING"

    print_jobs((waits, runs))
    *rows, last = capsys.readouterr().out.splitlines()
    assert len(rows) == 3
    assert last == f"j1 is waiting for its job pod on the server: {NO_ROOM}"
    print_jobs((runs,))
    assert "waiting for" not in capsys.readouterr().out
