"""Which site is lost, and whether a task can complete without it."""

from __future__ import annotations

from typing import Any

import pytest

from fl_app.guard.heartbeat import awaited_sites, find_lost_site
from tests.unit.guard.tasks import broadcast, controller


def test_a_task_without_a_timeout_that_needs_a_lost_site_is_found() -> None:
    finding = find_lost_site(controller(broadcast("site-1")), {"site-2": 301.0})
    assert finding is not None
    assert finding.line.startswith(
        "site-2: no sign of life for 5 min, and the task 'train' waits for it without"
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


def test_a_job_waits_only_for_silent_sites_without_which_a_task_cannot_complete() -> None:
    silent = {"site-2", "site-1"}
    assert awaited_sites(controller(broadcast("site-1")), silent) == {"site-2"}
    assert awaited_sites(controller(broadcast("site-1", "site-3", min_responses=2)), silent) == set()
    assert awaited_sites(None, silent) == set()
