"""Which jobs the scheduler rejects, delays and drops."""

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
    """NVFlare's server and job manager, as far as the scheduler uses them."""

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
    """The jobs that reach NVFlare's own scheduler."""
    seen: list[str] = []

    def schedule(_: Any, manager: Any, candidates: list[Job], fl_ctx: FLContext) -> tuple[None, None]:
        seen.extend(job.job_id for job in candidates)
        return None, None

    monkeypatch.setattr(DefaultJobScheduler, "schedule_job", schedule)
    return seen


def job(min_sites: int, submitted: float | None = None, **props: float) -> Job:
    meta = {
        "min_clients": min_sites,
        "deploy_map": {"app": ["@ALL"]},
        "submit_time": time.time() if submitted is None else submitted,
        "custom_props": props,
    }
    return Job("a-job", {}, {"app": ["@ALL"]}, meta, min_sites=min_sites)


def refusal_of(scheduler: JobScheduler, server: Server, one: Job) -> str:
    context = server.context()
    context.set_prop(FLContextKey.JOB_META, one.meta, private=True, sticky=False)
    scheduler.handle_event(EventType.SUBMIT_JOB, context)
    return str(context.get_prop(FLContextKey.JOB_BLOCK_REASON) or "")


def test_a_job_with_a_permanent_shortage_is_rejected_at_submission(server: Server) -> None:
    assert refusal_of(JobScheduler(), server, job(2)) == ""
    assert refusal_of(JobScheduler(), server, job(3)).startswith("[guard] min_clients: needs 3 sites, and 2")
    assert refusal_of(JobScheduler(), server, job(3, wait_for_sites=60)) == ""


def test_a_restart_does_not_forget_known_sites(server: Server) -> None:
    JobScheduler().handle_event(EventType.CLIENT_REGISTER_PROCESSED, server.context())
    server.registered = ["site-1"]
    assert refusal_of(JobScheduler(), server, job(2)) == ""


def test_nvflare_schedules_a_job_that_has_its_sites(server: Server, scheduled: list[str]) -> None:
    JobScheduler().schedule_job(server, [job(2)], server.context())  # type: ignore[arg-type]
    assert scheduled == ["a-job"]
    assert server.stored == []


def test_a_waiting_job_records_once_which_sites_it_lacks(server: Server, scheduled: list[str]) -> None:
    scheduler, waiting = JobScheduler(), job(2)
    scheduler.handle_event(EventType.CLIENT_REGISTER_PROCESSED, server.context())
    server.registered = ["site-1"]
    for _ in range(3):
        scheduler.schedule_job(server, [waiting], server.context())  # type: ignore[arg-type]
    assert scheduled == []
    assert server.status == {}
    (history,) = server.stored
    assert "not registered: site-2" in history[0]


def test_a_job_is_dropped_after_its_own_wait_limit_or_that_of_the_server(
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
    assert "Dropped after 150 s." in server.stored[-1][-1]
    server.status.clear()
    own = job(2, time.time() - 150, wait_for_sites=500)
    scheduler.schedule_job(server, [own], server.context())  # type: ignore[arg-type]
    assert server.status == {}


def test_a_queued_job_with_a_permanent_shortage_is_dropped_immediately(
    server: Server, scheduled: list[str]
) -> None:
    JobScheduler().schedule_job(server, [job(3)], server.context())  # type: ignore[arg-type]
    assert server.status == {"a-job": RunStatus.FINISHED_CANT_SCHEDULE}
    assert scheduled == []
