"""Which jobs the scheduler rejects, delays and drops."""

from __future__ import annotations

import time
from datetime import datetime
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
        self.stored: list[Any] = []
        self.last_signs: dict[str, float] = {}
        self.status: dict[str, Any] = {}

    def get_clients(self) -> list[Any]:
        return [
            SimpleNamespace(name=name, last_connect_time=self.last_signs.get(name, time.time()))
            for name in self.registered
        ]

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

    new_context = context


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


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The current time of the scheduler, which a test may change."""
    moment = [time.time()]
    monkeypatch.setattr("fl_app.guard.scheduler.time.time", lambda: moment[0])
    return moment


@pytest.fixture
def waiting(server: Server, scheduled: list[str]) -> JobScheduler:
    """A scheduler whose jobs for two sites wait for site-2."""
    scheduler = JobScheduler()
    scheduler.handle_event(EventType.CLIENT_REGISTER_PROCESSED, server.context())
    server.registered = ["site-1"]
    return scheduler


def test_a_job_is_dropped_after_its_own_wait_limit_or_that_of_the_server(
    server: Server, waiting: JobScheduler, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENV_SITE_PATIENCE, "100")
    one, patient = job(2), job(2, wait_for_sites=500)
    for seconds in (0, 50):
        now[0] += seconds
        waiting.schedule_job(server, [one, patient], server.context())  # type: ignore[arg-type]
        assert server.status == {}
    now[0] += 100
    waiting.schedule_job(server, [patient], server.context())  # type: ignore[arg-type]
    assert server.status == {}
    waiting.schedule_job(server, [one], server.context())  # type: ignore[arg-type]
    assert server.status == {"a-job": RunStatus.FINISHED_CANT_SCHEDULE}
    assert "Dropped after 150 s." in server.stored[-1][-1]


def test_the_patience_counts_from_when_the_sites_began_to_be_missing(
    server: Server, waiting: JobScheduler, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENV_SITE_PATIENCE, "100")
    queued = job(2, submitted=now[0] - 5000)  # behind other jobs, with all its sites
    waiting.schedule_job(server, [queued], server.context())  # type: ignore[arg-type]
    assert server.status == {}
    now[0] += 90
    server.registered = ["site-1", "site-2"]
    server.last_signs = {"site-1": now[0], "site-2": now[0]}
    waiting.schedule_job(server, [queued], server.context())  # type: ignore[arg-type]
    assert server.stored[-1] == 0.0
    server.registered = ["site-1"]
    now[0] += 90
    waiting.schedule_job(server, [queued], server.context())  # type: ignore[arg-type]
    assert server.status == {}


def test_a_stopped_server_gives_its_sites_the_whole_patience_to_register(
    server: Server, waiting: JobScheduler, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENV_SITE_PATIENCE, "100")
    queued = job(2)
    waiting.schedule_job(server, [queued], server.context())  # type: ignore[arg-type]
    now[0] += 5000  # the server is stopped
    restarted, server.registered = JobScheduler(), []
    for seconds in (2, 90):
        now[0] += seconds
        restarted.schedule_job(server, [queued], server.context())  # type: ignore[arg-type]
        assert server.status == {}
    now[0] += 10
    restarted.schedule_job(server, [queued], server.context())  # type: ignore[arg-type]
    assert server.status == {"a-job": RunStatus.FINISHED_CANT_SCHEDULE}
    assert "Dropped after 102 s." in server.stored[-1][-1]


def test_a_site_without_a_sign_of_life_is_named_although_nvflare_lists_it(
    server: Server, scheduled: list[str]
) -> None:
    killed_at = time.time() - 40
    server.last_signs = {"site-2": killed_at}
    JobScheduler().schedule_job(server, [job(2)], server.context())  # type: ignore[arg-type]
    assert scheduled == []
    assert (
        f"no sign of life: site-2 (since {datetime.fromtimestamp(killed_at):%H:%M:%S})"
        in (server.stored[-1][-1])
    )


def test_a_queued_job_with_a_permanent_shortage_is_dropped_immediately(
    server: Server, scheduled: list[str]
) -> None:
    JobScheduler().schedule_job(server, [job(3)], server.context())  # type: ignore[arg-type]
    assert server.status == {"a-job": RunStatus.FINISHED_CANT_SCHEDULE}
    assert scheduled == []


def test_a_job_that_was_tried_often_delays_no_younger_job(server: Server) -> None:
    """NVFlare's own scheduler multiplies its interval by 2 for each attempt."""
    tried, younger = job(2, submitted=0.0), job(2)
    tried.min_sites = younger.min_sites = 3  # NVFlare starts neither
    tried.meta["schedule_count"] = 5000
    scheduler = JobScheduler(max_schedule_count=100_000, max_schedule_interval=60.0)

    scheduler.schedule_job(server, [tried, younger], server.context())  # type: ignore[arg-type]

    assert tried.meta["schedule_count"] == 5001
    assert younger.meta["schedule_count"] == 1


def test_a_job_is_tried_as_often_as_by_nvflare_if_no_job_waits_for_sites(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ENV_SITE_PATIENCE, "0")
    assert JobScheduler().max_schedule_count == DefaultJobScheduler().max_schedule_count
    monkeypatch.setenv(ENV_SITE_PATIENCE, "3600")
    assert JobScheduler().max_schedule_count == 361
