"""Which site is silent, and whether a job waits for it in vain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.impl.bcast_manager import BcastTaskManager
from nvflare.apis.impl.wf_comm_server import _TASK_KEY_MANAGER
from nvflare.apis.shareable import Shareable

from fl_app.guard.heartbeat import SignsOfLife, waiting_in_vain

LIMIT = 300.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def life(clock: Clock) -> SignsOfLife:
    signs = SignsOfLife(clock)
    signs.expect(["site-1", "site-2"])
    return signs


def test_a_site_without_work_that_no_longer_asks_is_silent(clock: Clock, life: SignsOfLife) -> None:
    clock.now = 200
    life.seen("site-1")
    clock.now = 400
    assert life.silent(LIMIT) == {"site-2": 400}


def test_a_site_at_work_that_never_signalled_may_just_be_busy(clock: Clock, life: SignsOfLife) -> None:
    life.assigned("site-2")
    clock.now = 10_000
    assert "site-2" not in life.silent(LIMIT)


def test_a_site_at_work_that_stopped_signalling_is_silent(clock: Clock, life: SignsOfLife) -> None:
    life.assigned("site-2")
    life.signalled("site-2")
    clock.now = 290
    assert life.silent(LIMIT) == {}
    clock.now = 301
    assert "site-2" in life.silent(LIMIT)


def task(answered: tuple[str, ...] = (), *, timeout: int = 0, min_responses: int = 0) -> Task:
    made = Task("train", Shareable(), timeout=timeout)
    made.targets = ["site-1", "site-2", "site-3"]
    made.props[_TASK_KEY_MANAGER] = BcastTaskManager(made, min_responses, 0)
    for name in answered:
        one = ClientTask(Client(name, "token"), made)
        one.result_received_time = 1.0
        made.client_tasks.append(one)
    return made


def controller(*tasks: Any) -> Any:
    return SimpleNamespace(communicator=SimpleNamespace(_tasks=list(tasks)))


def test_a_task_without_a_timeout_that_needs_a_silent_site_waits_in_vain() -> None:
    finding = waiting_in_vain(controller(task(("site-1",))), {"site-2": 301.0})
    assert finding is not None
    assert finding.line.startswith("site-2: not heard of for 301 s, and the task 'train' waits for it")


@pytest.mark.parametrize(
    ("standing", "silent"),
    [
        (task(("site-1",), timeout=60), {"site-2": 301.0}),
        (task(("site-2",)), {"site-2": 301.0}),
        (task(min_responses=2), {"site-2": 301.0}),
        (task(), {"site-9": 301.0}),
        (task(), {}),
    ],
    ids=["it has a timeout", "it has answered", "enough others", "no target", "nobody silent"],
)
def test_a_task_that_can_end_does_not_wait_in_vain(standing: Task, silent: dict[str, float]) -> None:
    assert waiting_in_vain(controller(standing), silent) is None


def test_no_workflow_no_waiting() -> None:
    assert waiting_in_vain(None, {"site-2": 301.0}) is None
