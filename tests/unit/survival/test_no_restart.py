"""A Flower or swarm job starts over when one of its job processes was killed and started again, or ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nvflare.apis.shareable import Shareable
from nvflare.app_common.ccwf.server_ctl import ClientStatus
from nvflare.app_common.ccwf.swarm_server_ctl import SwarmServerController
from nvflare.app_common.tie.controller import _ClientStatus
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.contract import ENV_SURVIVAL
from fl_app.flower.server import FlowerServer
from fl_app.guard.heartbeat import HEARTBEAT_LIFE, HEARTBEAT_TOPIC
from fl_app.nvflare_internals.flower import FlowerControllerWithCallbacks
from fl_app.survival.component import JobSurvival
from fl_app.survival.requeue import REQUEUES_META
from tests.unit.guard.in_process import Ended, Job
from tests.unit.guard.in_process.server import ServerEngine

REASON = "{}: its job process was killed and started again; {} cannot go on after that. Submit it again."


@dataclass
class Jobs:
    """Runs the server's job processes of one job; the kind of its workflow decides what ends it."""

    folder: Path
    make: Callable[[], Any]
    name: str
    """How the reason names the job."""
    status: Callable[[], Any]
    """Makes the status of a site that is not configured."""
    monkeypatch: pytest.MonkeyPatch
    started: int = 0
    """How often the workflow was started."""
    told: list[str] = field(default_factory=list)
    """Texts of the interventions."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """Requests to the server's parent to start over."""
    may_start_over: bool = False
    """The answer of the parent."""

    def process(self, flow: Callable[[Any, ServerEngine], None] | None = None, requeues: int = 0) -> Ended:
        """Run one job process of the server.

        Args:
            flow: what happens while the workflow runs.
            requeues: how often the job was put back into the queue.
        """
        controller = self.make()
        requeued = {REQUEUES_META: {"count": requeues}}
        job = Job([controller], lambda *_: Shareable(), {"survival": JobSurvival()}, meta=requeued)
        self.folder.mkdir(exist_ok=True)
        engine = ServerEngine(job, self.folder, guarded=True)

        def control_flow(*_: Any) -> None:
            self.started += not engine.runner.abort_signal.triggered
            if flow is not None:
                flow(controller, engine)

        base = SwarmServerController if isinstance(controller, SwarmServerController) else None
        for kind in (base or FlowerControllerWithCallbacks,):
            self.monkeypatch.setattr(kind, "start_controller", lambda *_: None)
            self.monkeypatch.setattr(kind, "control_flow", control_flow)
        if isinstance(controller, FedAvg):
            controller.control_flow = control_flow  # type: ignore[method-assign]
        life = uuid.uuid4().hex
        self.monkeypatch.setattr("fl_app.survival.no_restart._this_process", lambda: life)
        self.monkeypatch.setattr("fl_app.survival.start_over.send_to_server_parent", self._ask)
        engine.runner.run()
        return engine.ended

    def _ask(self, engine: Any, topic: str, document: dict[str, str], timeout: float) -> bool:
        self.asked.append(document)
        return self.may_start_over

    def reason(self, place: str) -> str:
        return REASON.format(place, self.name)

    def site_restarts(self, *, configured: bool = True, app_done: bool = False) -> Ended:
        """Run a job while whose workflow the job process of site-1 is started again."""

        def flow(controller: Any, engine: ServerEngine) -> None:
            status = self.status()
            status.configured_time = status.ready_time = 1.0 if configured else None
            status.app_done = app_done
            controller.client_statuses = {"site-1": status, "site-2": self.status()}
            for site, life in (("site-1", "a"), ("site-2", "b"), ("site-1", "a")):
                beat(engine, site, life)
            assert not engine.ended.reasons, "no process was started again yet"
            beat(engine, "site-1", "c")

        return self.process(flow)


def beat(engine: ServerEngine, site: str, life: str) -> None:
    request = Shareable({HEARTBEAT_LIFE: life})
    engine.messages[HEARTBEAT_TOPIC](HEARTBEAT_TOPIC, request, engine.from_site(site))


@pytest.fixture(autouse=True)
def survival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_SURVIVAL, "true")
    monkeypatch.setattr("fl_app.flower.server.version_error", lambda _: "")


def jobs(folder: Path, monkeypatch: pytest.MonkeyPatch, make: Any, name: str, status: Any) -> Jobs:
    made = Jobs(folder / "server", make, name, status, monkeypatch)
    monkeypatch.setattr("fl_app.survival.job_agent.record", lambda _, __, one: made.told.append(one.text))
    return made


@pytest.fixture(params=["Flower", "swarm"])
def job(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    if request.param == "Flower":
        flower = lambda: FlowerServer(app="an_app", run_config={})  # noqa: E731
        return jobs(tmp_path, monkeypatch, flower, "a Flower job", _ClientStatus)
    name = "a job with SwarmServerController"
    return jobs(tmp_path, monkeypatch, lambda: SwarmServerController(num_rounds=2), name, ClientStatus)


def test_a_configured_site_that_is_started_again_ends_the_job(job: Jobs) -> None:
    assert job.site_restarts().reasons == [job.reason("site-1")]


def test_a_job_starts_over_if_the_parent_of_the_server_lets_it(job: Jobs) -> None:
    job.may_start_over = True
    ends = [job.site_restarts(), job.process()]

    what = job.reason("").removeprefix(": ").removesuffix(". Submit it again.")
    assert [end.panics for end in ends] == [
        [f"{place}: {what}; the job starts over from round 1"] for place in ("site-1", "server")
    ]
    assert [end.reasons for end in ends] == [[], []], "no reason of the guard"
    assert job.asked == [{"site": place, "reason": what} for place in ("site-1", "server")]


def test_a_site_that_is_not_configured_yet_is_configured_again(job: Jobs) -> None:
    assert job.site_restarts(configured=False).panics == []


def test_a_site_that_is_done_is_not_missed(job: Jobs) -> None:
    ended = job.site_restarts(app_done=True)
    assert ended.panics == []


def test_a_swarm_that_goes_on_without_a_site_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> SwarmServerController:
        return SwarmServerController(num_rounds=2, min_clients=1)

    assert jobs(tmp_path, monkeypatch, make, "", ClientStatus).site_restarts().panics == []


def test_a_swarm_that_needs_as_many_sites_as_it_has_does_not_go_on_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of NVFlare's recipe, which requires `min_clients`."""

    def make() -> SwarmServerController:
        return SwarmServerController(num_rounds=2, min_clients=2)

    job = jobs(tmp_path, monkeypatch, make, "a job with SwarmServerController", ClientStatus)
    assert job.site_restarts().reasons == [job.reason("site-1")]


def test_a_workflow_that_sends_its_tasks_again_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jobs(tmp_path, monkeypatch, FedAvg, "", ClientStatus).site_restarts().panics == []


def test_a_second_process_of_the_server_ends_the_job_before_its_workflow_runs(job: Jobs) -> None:
    assert job.process().panics == []
    ended = job.process()
    assert ended.reasons == [job.reason("server")]
    assert job.started == 1
    assert job.told == [], "it does not start over"


def test_a_job_that_was_put_back_into_the_queue_starts_over(job: Jobs) -> None:
    job.process()
    assert job.process(requeues=1).panics == []
    assert job.started == 2
    assert len(job.told) == 1
    assert job.told[0].startswith("starts over from round 1: ")


def test_the_first_process_starts_on_a_full_volume(job: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("fl_app.survival.no_restart.write_atomically", full)
    assert job.process().panics == []
    assert job.started == 1
