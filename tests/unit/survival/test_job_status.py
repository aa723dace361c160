"""What the server's process of a job tells its parent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.message import Message

from deploy.provision.local import PENDING_SITES
from fl_app.contract import ENV_SURVIVAL, TRANSFER_TIMEOUT_SECONDS
from fl_app.survival.job_status import STATUS, JobStatus, StatusOfJob
from fl_app.survival.transfer_timeout import TransferTimeout


class JobProcess:
    """The server's process of a job on the sites north and south."""

    def __init__(self) -> None:
        self.now = 100.0
        self.part = JobStatus(lambda: self.now)
        self.commands: dict[str, Any] = {}
        self.pending: list[str] = []
        self.fire(EventType.START_RUN)

    def get_cell(self) -> Any:
        return SimpleNamespace(register_request_cb=self._register)

    def get_component(self, component_id: str) -> Any:
        """Return the component whose id the kits name for the sites with pending job pods."""
        pods = SimpleNamespace(pending=lambda now: dict.fromkeys(self.pending, "no GPU"))
        return pods if component_id == PENDING_SITES["id"] else None

    def _register(self, channel: str, topic: str, cb: Any) -> None:
        self.commands[topic] = cb

    def get_clients(self) -> list[Any]:
        return [SimpleNamespace(name="north"), SimpleNamespace(name="south")]

    def fire(self, event: str, site: str = "", seconds: float = 0.0) -> None:
        """Fire an event of a site after some seconds."""
        self.now += seconds
        context, peer = FLContext(), FLContext()
        context.set_prop(ReservedKey.ENGINE, self)
        peer.set_prop(ReservedKey.IDENTITY_NAME, site, private=False)
        context.set_peer_context(peer)
        self.part.handle(event, context)

    def status(self) -> StatusOfJob:
        request = Message({MessageHeaderKey.ORIGIN: FQCN.ROOT_SERVER})
        return StatusOfJob(self.commands[STATUS](request).payload)


@pytest.fixture
def job() -> JobProcess:
    return JobProcess()


ASKS, GETS, RETURNS = (
    EventType.BEFORE_PROCESS_TASK_REQUEST,
    EventType.BEFORE_TASK_DATA_FILTER,
    EventType.BEFORE_PROCESS_SUBMISSION,
)


def test_a_site_that_never_asked_is_idle_since_the_first_request(job: JobProcess) -> None:
    job.fire(ASKS, "north", seconds=30)
    job.fire(ASKS, "north", seconds=35)

    assert job.status().idle == {"north": 0.0, "south": 35.0}
    job.now += 4
    assert job.status().asked == {"north": 4.0}


def test_a_site_that_works_is_not_idle(job: JobProcess) -> None:
    job.fire(ASKS, "south")
    job.fire(ASKS, "north", seconds=1)
    job.fire(GETS, "north")
    job.fire(ASKS, "south", seconds=1000)
    assert job.status().idle == {"south": 0.0}

    job.fire(RETURNS, "north")
    job.fire(ASKS, "south", seconds=2)
    assert job.status().idle == {"north": 2.0, "south": 0.0}


def test_a_site_that_asks_again_does_not_work_any_longer(job: JobProcess) -> None:
    job.fire(GETS, "north")
    job.fire(ASKS, "north", seconds=60)
    job.fire(ASKS, "south", seconds=7)

    assert job.status().idle["north"] == 7.0


def test_no_site_is_idle_while_the_server_answers_none(job: JobProcess) -> None:
    assert job.status().idle == {"north": 0.0, "south": 0.0}
    job.fire(ASKS, "north", seconds=600)
    job.fire(ASKS, "south", seconds=1)
    job.now += 3600

    assert job.status().idle == {"north": 1.0, "south": 0.0}


def test_the_time_until_the_pod_of_a_site_runs_does_not_count(job: JobProcess) -> None:
    job.fire(ASKS, "north")
    job.pending = ["south"]
    job.fire(ASKS, "north", seconds=3600)
    assert job.status().idle == {"north": 0.0, "south": 0.0}

    job.pending = []
    job.fire(ASKS, "north", seconds=20)

    assert job.status().idle == {"north": 0.0, "south": 20.0}


def test_only_the_servers_parent_is_answered(job: JobProcess) -> None:
    reply = job.commands[STATUS](Message({MessageHeaderKey.ORIGIN: "north"}))

    assert reply.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.UNAUTHENTICATED


def test_a_job_is_ending_when_its_last_workflow_has_ended(job: JobProcess) -> None:
    job.fire(EventType.END_WORKFLOW)
    assert not job.status().is_ending

    job.fire(EventType.ABOUT_TO_END_RUN)

    assert job.status().is_ending


@pytest.mark.parametrize(("size", "announced", "seconds"), [(10, 0, 0), (200_000_000, 0, 10), (10, 400, 380)])
def test_a_task_with_a_large_model_raises_the_timeout_of_its_site(
    size: int, announced: float, seconds: float
) -> None:
    context = FLContext()
    task = DXO(DataKind.WEIGHTS, {"w": np.zeros(size, np.uint8)}).to_shareable()
    context.set_prop(FLContextKey.TASK_DATA, task)
    context.set_prop(FLContextKey.MIN_GET_TASK_TIMEOUT, announced)

    TransferTimeout().handle(EventType.AFTER_TASK_DATA_FILTER, context)

    timeout = context.get_prop(FLContextKey.MIN_GET_TASK_TIMEOUT)
    assert timeout == pytest.approx(TRANSFER_TIMEOUT_SECONDS + seconds, abs=0.1)


def test_sites_wait_as_long_as_nvflares_if_survival_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_SURVIVAL, "false")
    context = FLContext()

    TransferTimeout().handle(EventType.AFTER_TASK_DATA_FILTER, context)

    assert context.get_prop(FLContextKey.MIN_GET_TASK_TIMEOUT) == 300
