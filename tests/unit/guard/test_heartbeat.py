"""Which site is lost, and whether a task can complete without it."""

from __future__ import annotations

from typing import Any

import pytest

from fl_app.guard.heartbeat import Heartbeats, find_lost_site
from tests.unit.guard.tasks import broadcast, controller

TIMEOUT = 300.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heartbeats(clock: Clock) -> Heartbeats:
    made = Heartbeats(clock)
    made.expect(["site-1", "site-2"])
    return made


def test_an_idle_site_that_stopped_polling_is_overdue(clock: Clock, heartbeats: Heartbeats) -> None:
    clock.now = 200
    heartbeats.polled("site-1")
    clock.now = 400
    assert heartbeats.overdue(TIMEOUT) == {"site-2": 400}


def test_a_site_with_a_task_that_never_sent_a_heartbeat_is_not_overdue(
    clock: Clock, heartbeats: Heartbeats
) -> None:
    heartbeats.assigned("site-2")
    clock.now = 10_000
    assert "site-2" not in heartbeats.overdue(TIMEOUT)


def test_a_site_with_a_task_that_stopped_its_heartbeats_is_overdue(
    clock: Clock, heartbeats: Heartbeats
) -> None:
    heartbeats.assigned("site-2")
    heartbeats.received("site-2")
    clock.now = 290
    assert heartbeats.overdue(TIMEOUT) == {}
    clock.now = 301
    assert "site-2" in heartbeats.overdue(TIMEOUT)


def test_a_task_without_a_timeout_that_needs_a_lost_site_is_found() -> None:
    finding = find_lost_site(controller(broadcast("site-1")), {"site-2": 301.0})
    assert finding is not None
    assert finding.line.startswith(
        "site-2: no heartbeat for 301 s, and the task 'train' waits for it without"
    )


@pytest.mark.parametrize(
    ("task", "overdue"),
    [
        (broadcast("site-1", timeout=60), {"site-2": 301.0}),
        (broadcast("site-2"), {"site-2": 301.0}),
        (broadcast(min_responses=2), {"site-2": 301.0}),
        (broadcast(), {"site-9": 301.0}),
        (broadcast(), {}),
    ],
    ids=["has a timeout", "has returned", "other sites suffice", "is no target", "no site is overdue"],
)
def test_a_task_that_can_complete_is_ignored(task: Any, overdue: dict[str, float]) -> None:
    assert find_lost_site(controller(task), overdue) is None


def test_nothing_is_found_between_two_workflows() -> None:
    assert find_lost_site(None, {"site-2": 301.0}) is None
