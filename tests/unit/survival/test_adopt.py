"""How a new parent of the server takes over the running jobs of its predecessor."""

from __future__ import annotations

from typing import Any

import pytest
from nvflare.apis.job_def import JobMetaKey, RunStatus

from fl_app.nvflare_internals.server_jobs import Participant, ServerJobs
from fl_app.survival.adopt import Adoption
from tests.unit.survival.server import Server


@pytest.fixture
def job_id(server: Server) -> str:
    """A job that ran on two sites when the parent was killed."""
    job_id = server.submit()
    server.run(job_id, server.register("north", "t1"), server.register("south", "t2"))
    (server.folder / job_id / "app").mkdir(parents=True)
    return job_id


def restart(server: Server) -> tuple[Server, Adoption, Any]:
    """Return a new parent, its adoption, and what the old parent saved."""
    saved = ServerJobs(server).participants()
    new = Server(server.folder)
    return new, Adoption(new, new.manager), saved


def status(server: Server, job_id: str) -> str:
    return str(server.job(job_id).meta[JobMetaKey.STATUS.value])


def test_a_running_job_goes_on_with_the_participants_that_it_had(server: Server, job_id: str) -> None:
    new, adoption, saved = restart(server)

    adoption.prepare(saved)
    assert ServerJobs(new).participants() == saved  # before the first heartbeat of a site
    assert new.launched == []
    adoption.finish()

    assert new.launched == [job_id]
    assert ServerJobs(new).participants() == saved
    assert new.scheduler.scheduled_jobs == [job_id]
    assert new.job_runner.running_jobs[job_id].meta[JobMetaKey.JOB_CLIENTS.value] == [
        {"name": "north"},
        {"name": "south"},
    ]
    assert all(ServerJobs(new).awaits_outcome(job_id, site) for site in ("north", "south"))
    assert status(new, job_id) == "RUNNING"
    assert new.history(job_id) == ["adopted : the server was started again; the job goes on"]


def test_a_job_that_was_only_dispatched_runs_after_its_adoption(server: Server, job_id: str) -> None:
    with server.new_context() as fl_ctx:
        server.manager.set_status(job_id, RunStatus.DISPATCHED, fl_ctx)
    new, adoption, saved = restart(server)

    adoption.prepare(saved)
    adoption.finish()

    assert status(new, job_id) == "RUNNING"


def test_a_job_without_saved_participants_is_queued_again(server: Server, job_id: str) -> None:
    new, adoption, _ = restart(server)

    adoption.prepare({})
    adoption.finish()

    assert (status(new, job_id), new.launched) == ("SUBMITTED", [])
    assert new.history(job_id)[0].startswith(
        "requeued : the server was started again, and its sites are not known"
    )


def test_a_job_whose_files_are_missing_is_queued_again(server: Server, job_id: str) -> None:
    (server.folder / job_id / "app").rmdir()
    new, adoption, saved = restart(server)

    adoption.prepare(saved)
    adoption.finish()

    assert (status(new, job_id), ServerJobs(new).running()) == ("SUBMITTED", frozenset())


def test_a_job_that_cannot_be_launched_is_queued_again(server: Server, job_id: str) -> None:
    new, adoption, saved = restart(server)
    new.launch_error = RuntimeError("no memory")

    adoption.prepare(saved)
    adoption.finish()

    assert (status(new, job_id), ServerJobs(new).running()) == ("SUBMITTED", frozenset())
    assert new.scheduler.scheduled_jobs == []


def test_no_job_stays_running_that_was_queued_again_too_often(server: Server, job_id: str) -> None:
    for _ in range(3):
        server, adoption, _ = restart(server)
        with server.new_context() as fl_ctx:
            server.manager.set_status(job_id, RunStatus.RUNNING, fl_ctx)
        adoption.prepare({})
        adoption.finish()

    assert status(server, job_id) == "FINISHED:ABANDONED"


def test_finished_and_queued_jobs_are_left_alone(server: Server) -> None:
    queued, finished = server.submit(), server.submit()
    with server.new_context() as fl_ctx:
        server.manager.set_status(finished, RunStatus.FINISHED_COMPLETED, fl_ctx)
    new, adoption, _ = restart(server)

    adoption.prepare({finished: (Participant("north", "t1", {}),)})
    adoption.finish()

    assert (status(new, queued), status(new, finished)) == ("SUBMITTED", "FINISHED:COMPLETED")
    assert (new.launched, ServerJobs(new).running()) == ([], frozenset())


def test_jobs_that_nvflare_left_as_running_end_when_survival_starts_for_the_first_time(
    server: Server, job_id: str
) -> None:
    new, adoption, _ = restart(server)

    adoption.prepare({}, is_first=True)
    adoption.finish()

    assert (status(new, job_id), new.launched) == (RunStatus.ABANDONED.value, [])


def test_a_job_that_was_aborted_while_the_server_started_stays_aborted(server: Server, job_id: str) -> None:
    new, adoption, saved = restart(server)
    adoption.prepare(saved)
    with new.new_context() as fl_ctx:
        new.manager.set_status(job_id, RunStatus.FINISHED_ABORTED, fl_ctx)

    adoption.finish()

    assert (status(new, job_id), new.launched) == (RunStatus.FINISHED_ABORTED.value, [])
    assert ServerJobs(new).participants() == {}
