"""Which jobs run again under their own id after a kill, and how often."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nvflare.apis.fl_constant import FLContextKey, RunProcessKey
from nvflare.apis.job_def import JobMetaKey, RunStatus
from nvflare.fuel.common.exit_codes import ProcessExitCode

from fl_app.contract import ENV_SURVIVAL
from fl_app.nvflare_internals.parent_messages import Sender
from fl_app.nvflare_internals.server_jobs import REPORTED_BY_SITE
from fl_app.survival.checkpoints import CheckpointStore, folder_of
from fl_app.survival.requeue import (
    MAX_REQUEUES,
    MAX_WITHOUT_PROGRESS,
    Requeues,
    progress_of,
    reason_to_requeue,
)
from fl_app.survival.resumable import State
from fl_app.survival.start_over import allow
from tests.unit.survival.server import Server

EXCEPTION, ABNORMAL = RunStatus.FINISHED_EXECUTION_EXCEPTION, RunStatus.FINISHED_ABNORMAL
KILLED = {RunProcessKey.PROCESS_RETURN_CODE: -9}
CODE = RunProcessKey.PROCESS_RETURN_CODE


def end(server: Server, job_id: str, status: RunStatus, process: Any = None, details: Any = ()) -> str:
    """End a job as NVFlare does, and return the status that the job has then."""
    if process is not None:
        server.exception_run_processes[job_id] = process
    with server.new_context() as fl_ctx:
        fl_ctx.set_prop(FLContextKey.JOB_DEPLOY_DETAIL, list(details))
        server.manager.set_status(job_id, status, fl_ctx)
    return str(server.job(job_id).meta[JobMetaKey.STATUS.value])


def schedulable(server: Server) -> list[str]:
    with server.new_context() as fl_ctx:
        return [job.job_id for job in server.manager.get_jobs_to_schedule(fl_ctx)]


def checkpoint(server: Server, job_id: str, rounds: int, workflow: int = 0) -> None:
    """Save the state of a job after this number of rounds, as the job's process does."""
    store = CheckpointStore(folder_of(server.folder, job_id))
    store.begin()
    document = {"workflow": workflow, "rounds_done": rounds}
    store.write({"job": State(document=document)}, server.folder)


@pytest.mark.parametrize(
    ("status", "process", "details", "reason"),
    [
        (ABNORMAL, KILLED, (), "the server's job process was killed by signal 9"),
        (EXCEPTION, {CODE: -11}, (), "the server's job process was killed by signal 11"),
        (ABNORMAL, {CODE: ProcessExitCode.INFRASTRUCTURE_ERROR}, (), "the server's job pod could not run"),
        (
            RunStatus.FAILED_TO_RUN,
            None,
            ["server: OK", "north: no reply (deployment timeout)"],
            "north: no r",
        ),
        (RunStatus.FAILED_TO_RUN, None, ["server: OK", "invalid_clients: north"], "invalid_clients: north"),
        (RunStatus.FAILED_TO_RUN, None, ["server: OK", "north: OK"], "its start failed"),
    ],
)
def test_a_job_that_was_killed_runs_again(
    server: Server, status: RunStatus, process: Any, details: list[str], reason: str
) -> None:
    job_id = server.submit()
    with server.new_context() as fl_ctx:
        server.manager.set_status(job_id, RunStatus.RUNNING, fl_ctx)
    assert schedulable(server) == []  # NVFlare's store tags the job as scheduled

    assert end(server, job_id, status, process, details) == "SUBMITTED"

    assert schedulable(server) == [job_id]
    assert server.history(job_id)[0].startswith(f"requeued : {reason}")
    assert server.history(job_id)[0].endswith("put back into the queue (1 of 20)")


@pytest.mark.parametrize(
    ("status", "process", "details"),
    [
        (RunStatus.FINISHED_COMPLETED, None, ()),
        (RunStatus.FINISHED_ABORTED, KILLED, ()),
        (RunStatus.FINISHED_CANT_SCHEDULE, None, ()),
        (EXCEPTION, {CODE: ProcessExitCode.EXCEPTION}, ()),
        (EXCEPTION, {**KILLED, RunProcessKey.PROCESS_EXE_ERROR: True}, ()),
        (EXCEPTION, None, ()),
        (ABNORMAL, {CODE: ProcessExitCode.INFRASTRUCTURE_ERROR, REPORTED_BY_SITE: True}, ()),
        (RunStatus.FAILED_TO_RUN, None, ["server: OK", "north: app does not pass signature verification"]),
        (RunStatus.FAILED_TO_RUN, None, ["server: unsigned job rejected", "north: no reply"]),
    ],
)
def test_a_job_that_failed_by_itself_or_was_aborted_does_not_run_again(
    server: Server, status: RunStatus, process: Any, details: list[str]
) -> None:
    job_id = server.submit()

    assert end(server, job_id, status, process, details) == status.value
    assert schedulable(server) == []
    assert server.history(job_id) == []


def test_a_job_without_progress_runs_again_twice(server: Server) -> None:
    job_id = server.submit()

    ends = [end(server, job_id, ABNORMAL, KILLED) for _ in range(MAX_WITHOUT_PROGRESS + 1)]

    assert ends == ["SUBMITTED", "SUBMITTED", ABNORMAL.value]


def test_a_job_with_progress_runs_again_up_to_its_limit(server: Server) -> None:
    job_id = server.submit()
    ends = []
    for number in range(1, MAX_REQUEUES + 2):
        checkpoint(server, job_id, number)
        ends.append(end(server, job_id, ABNORMAL, KILLED))

    assert ends == ["SUBMITTED"] * MAX_REQUEUES + [ABNORMAL.value]


def test_progress_gives_a_job_two_further_attempts(server: Server) -> None:
    job_id = server.submit()
    ends = [end(server, job_id, ABNORMAL, KILLED) for _ in range(2)]
    checkpoint(server, job_id, 1)

    ends += [end(server, job_id, ABNORMAL, KILLED) for _ in range(4)]

    assert ends == ["SUBMITTED"] * 5 + [ABNORMAL.value]


def start_over(server: Server, job_id: str, *, minutes: float = 0.5, abort: bool = False) -> tuple[bool, str]:
    """Run a job for some minutes, until a process is killed at north; return whether it may start over, and
    its status."""
    with server.new_context() as fl_ctx:
        scheduled = {JobMetaKey.LAST_SCHEDULE_TIME.value: time.time() - 60 * minutes}
        server.manager.update_meta(job_id, scheduled, fl_ctx)
    allowed = allow(server, Sender(job=job_id), {"site": "north", "reason": "its job process was killed"})
    failed = {RunProcessKey.PROCESS_EXE_ERROR: True}
    return allowed, end(server, job_id, RunStatus.FINISHED_ABORTED if abort else EXCEPTION, failed)


def test_a_job_that_cannot_go_on_starts_over_twice(server: Server) -> None:
    job_id = server.submit()

    ends = [start_over(server, job_id) for _ in range(3)]

    assert ends == [(True, "SUBMITTED"), (True, "SUBMITTED"), (False, EXCEPTION.value)]
    killed = "requeued north: its job process was killed; put back into the queue"
    assert server.history(job_id) == [f"{killed} ({number} of 20)" for number in (1, 2)]


def test_a_run_that_lasts_longer_than_those_before_allows_two_further_ones(server: Server) -> None:
    job_id = server.submit()

    ends = [start_over(server, job_id, minutes=minutes)[1] for minutes in (0.5, 0.5, 3.5, 3.6, 1.5, 3.7)]

    assert ends == ["SUBMITTED"] * 5 + [EXCEPTION.value]


def test_an_aborted_job_does_not_start_over(server: Server) -> None:
    job_id = server.submit()
    assert start_over(server, job_id, abort=True) == (True, RunStatus.FINISHED_ABORTED.value)


def test_only_the_process_of_a_job_on_the_server_lets_it_start_over(server: Server) -> None:
    assert not allow(server, Sender(site="north"), {"site": "north", "reason": "it was killed"})


def test_a_job_that_is_queued_again_starts_after_nvflares_shortest_interval(server: Server) -> None:
    job_id = server.submit(schedule_count=9, schedule_history=["scheduled"])

    end(server, job_id, ABNORMAL, KILLED)

    meta = server.job(job_id).meta
    assert (meta["schedule_count"], meta["schedule_history"]) == (0, [])
    assert meta["last_schedule_time"] > 0


def test_a_job_that_is_queued_again_stays_queued_when_the_server_is_restarted(server: Server) -> None:
    job_id = server.submit()
    with server.new_context() as fl_ctx:
        server.manager.set_status(job_id, RunStatus.RUNNING, fl_ctx)
    schedulable(server)
    end(server, job_id, ABNORMAL, KILLED)

    assert schedulable(Server(server.folder)) == [job_id]


def test_a_job_waits_until_no_site_runs_an_old_process_of_it(server: Server) -> None:
    job_id = server.submit()
    server.register("north", "t1")
    server.register("south", "t2")
    with server.new_context() as fl_ctx:
        server.manager.set_status(job_id, RunStatus.RUNNING, fl_ctx)
    schedulable(server)
    end(server, job_id, ABNORMAL, KILLED)
    aborted: list[list[str]] = []
    server.job_runner.abort_client_run = lambda job, sites, fl_ctx: aborted.append(sites)
    server.server.admin_server.running = {"north": [job_id], "south": None}

    assert (schedulable(server), aborted) == ([], [["north"]])
    server.server.admin_server.running = {"north": [], "south": None}
    assert schedulable(server) == [job_id]
    server.server.admin_server.running = {"north": None, "south": [job_id]}  # north is not asked again

    assert (schedulable(server), aborted) == ([], [["north"], ["south"]])


def test_a_queued_job_can_be_aborted_and_deleted(server: Server) -> None:
    first, second = server.submit(), server.submit()
    for job_id in (first, second):
        end(server, job_id, ABNORMAL, KILLED)

    end(server, first, RunStatus.FINISHED_ABORTED)
    with server.new_context() as fl_ctx:
        server.manager.delete(second, fl_ctx)

    assert schedulable(server) == []


def test_progress_is_that_of_the_last_manifest_that_can_be_read(server: Server) -> None:
    job_id = server.submit()
    assert progress_of(server.folder, job_id) == (0, 0)
    checkpoint(server, job_id, 9)
    checkpoint(server, job_id, 1, workflow=1)
    assert progress_of(server.folder, job_id) == (1, 1)

    last = max(folder_of(server.folder, job_id).glob("*.json"))
    last.write_bytes(last.read_bytes()[:-2])

    assert progress_of(server.folder, job_id) == (0, 9)


def test_a_job_that_saves_the_same_round_again_makes_no_progress(server: Server) -> None:
    job_id = server.submit()
    checkpoint(server, job_id, 4)

    ends = [end(server, job_id, ABNORMAL, KILLED) for _ in range(4)]

    assert ends == ["SUBMITTED"] * 3 + [ABNORMAL.value]


def test_damaged_counts_of_a_job_start_over() -> None:
    assert Requeues.of({"flarefleet_requeues": {"unknown": 1}}) == Requeues()
    assert reason_to_requeue(ABNORMAL, None, ()) is None


@pytest.mark.parametrize("status", [RunStatus.FINISHED_COMPLETED, RunStatus.FINISHED_ABORTED, EXCEPTION])
def test_the_checkpoints_of_a_finished_job_go(server: Server, status: RunStatus) -> None:
    job_id = server.submit()
    checkpoint(server, job_id, 1)

    end(server, job_id, status)

    assert not folder_of(server.folder, job_id).exists()


def test_the_checkpoints_of_a_job_that_runs_again_stay(server: Server) -> None:
    job_id, deleted = server.submit(), server.submit()
    checkpoint(server, job_id, 1)
    checkpoint(server, deleted, 1)

    end(server, job_id, ABNORMAL, KILLED)
    with server.new_context() as fl_ctx:
        server.manager.delete(deleted, fl_ctx)
        server.manager.remove_old_checkpoints(fl_ctx)

    assert folder_of(server.folder, job_id).exists()
    assert not folder_of(server.folder, deleted).exists()


def test_a_killed_job_ends_if_survival_is_disabled(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_SURVIVAL, "false")

    assert end(server, server.submit(), ABNORMAL, KILLED) == ABNORMAL.value


def test_a_job_that_was_aborted_while_it_started_stays_aborted(server: Server) -> None:
    job_id = server.submit()
    end(server, job_id, RunStatus.FINISHED_ABORTED)
    with server.new_context() as fl_ctx:
        assert not server.manager.requeue(job_id, "its start failed", fl_ctx)
    assert server.job(job_id).meta[JobMetaKey.STATUS.value] == RunStatus.FINISHED_ABORTED.value
