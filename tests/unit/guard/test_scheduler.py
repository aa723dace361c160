"""The scheduler of a kit's server, without a server around it: what it refuses, lets wait and gives up."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import Job, RunStatus
from nvflare.app_common.job_schedulers.job_scheduler import DefaultJobScheduler

from fl_app.contract import ENV_SITE_PATIENCE
from fl_app.guard.scheduler import JobScheduler


class Server:
    """What the scheduler asks of NVFlare's server and of its job manager."""

    def __init__(self, folder: Path, *registered: str) -> None:
        self.folder = folder
        self.registered = list(registered)
        self.stored: list[list[str]] = []
        self.status: dict[str, Any] = {}

    def get_clients(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.registered]

    def get_workspace(self) -> Any:
        return SimpleNamespace(get_root_dir=lambda: str(self.folder))

    def refresh_meta(self, job: Job, keys: list[str], fl_ctx: FLContext) -> None:
        self.stored.append(job.meta[keys[0]])

    def set_status(self, job_id: str, status: RunStatus, fl_ctx: FLContext) -> None:
        self.status[job_id] = status

    def context(self) -> FLContext:
        context = FLContext()
        context.set_prop(ReservedKey.ENGINE, self, private=True, sticky=True)
        return context


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path, "site-1", "site-2")


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that NVFlare's own scheduler gets to see."""
    seen: list[str] = []

    def schedule(_: Any, manager: Any, candidates: list[Job], fl_ctx: FLContext) -> tuple[None, None]:
        seen.extend(job.job_id for job in candidates)
        return None, None

    monkeypatch.setattr(DefaultJobScheduler, "schedule_job", schedule)
    return seen


def job(least: int, submitted: float | None = None, **props: float) -> Job:
    meta = {
        "min_clients": least,
        "deploy_map": {"app": ["@ALL"]},
        "submit_time": time.time() if submitted is None else submitted,
        "custom_props": props,
    }
    return Job("a-job", {}, {"app": ["@ALL"]}, meta, min_sites=least)


def refusal_of(scheduler: JobScheduler, server: Server, one: Job) -> str:
    context = server.context()
    context.set_prop(FLContextKey.JOB_META, one.meta, private=True, sticky=False)
    scheduler.handle_event(EventType.SUBMIT_JOB, context)
    return str(context.get_prop(FLContextKey.JOB_BLOCK_REASON) or "")


def test_a_job_that_can_never_have_its_sites_is_refused_when_it_is_submitted(server: Server) -> None:
    assert refusal_of(JobScheduler(), server, job(2)) == ""
    assert refusal_of(JobScheduler(), server, job(3)).startswith("[guard] min_clients: needs 3 sites, and 2")
    assert refusal_of(JobScheduler(), server, job(3, wait_for_sites=60)) == ""


def test_a_site_that_was_here_once_is_remembered_over_a_restart(server: Server) -> None:
    JobScheduler().handle_event(EventType.CLIENT_REGISTER_PROCESSED, server.context())
    server.registered = ["site-1"]
    assert refusal_of(JobScheduler(), server, job(2)) == ""


def test_a_job_with_enough_sites_is_nvflares_to_schedule(server: Server, scheduled: list[str]) -> None:
    JobScheduler().schedule_job(server, [job(2)], server.context())  # type: ignore[arg-type]
    assert scheduled == ["a-job"]
    assert server.stored == []


def test_a_job_that_waits_says_once_what_for(server: Server, scheduled: list[str]) -> None:
    scheduler, waiting = JobScheduler(), job(2)
    scheduler.handle_event(EventType.CLIENT_REGISTER_PROCESSED, server.context())
    server.registered = ["site-1"]
    for _ in range(3):
        scheduler.schedule_job(server, [waiting], server.context())  # type: ignore[arg-type]
    assert scheduled == []
    assert server.status == {}
    (history,) = server.stored
    assert "not registered: site-2" in history[0]


def test_a_job_has_waited_long_enough_when_its_patience_or_the_servers_is_over(
    server: Server, scheduled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = JobScheduler()
    scheduler.handle_event(EventType.CLIENT_REGISTER_PROCESSED, server.context())
    server.registered = ["site-1"]
    monkeypatch.setenv(ENV_SITE_PATIENCE, "100")
    scheduler.schedule_job(server, [job(2, time.time() - 50)], server.context())  # type: ignore[arg-type]
    assert server.status == {}
    scheduler.schedule_job(server, [job(2, time.time() - 150)], server.context())  # type: ignore[arg-type]
    assert server.status == {"a-job": RunStatus.FINISHED_CANT_SCHEDULE}
    assert "Given up after 150 s." in server.stored[-1][-1]
    server.status.clear()
    own = job(2, time.time() - 150, wait_for_sites=500)
    scheduler.schedule_job(server, [own], server.context())  # type: ignore[arg-type]
    assert server.status == {}


def test_a_job_that_came_another_way_and_can_never_begin_ends_at_once(
    server: Server, scheduled: list[str]
) -> None:
    JobScheduler().schedule_job(server, [job(3)], server.context())  # type: ignore[arg-type]
    assert server.status == {"a-job": RunStatus.FINISHED_CANT_SCHEDULE}
    assert scheduled == []
