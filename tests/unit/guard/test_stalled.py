"""A site that sends heartbeats and makes no progress ends a job only if it blocks the job."""

from __future__ import annotations

from typing import Any

import pytest
from nvflare.apis.impl.any_relay_manager import AnyRelayTaskManager

from fl_app.guard.stalled import find_stalled_site
from tests.unit.guard.tasks import as_relay, broadcast, controller

NOW = 10_000.0
LONG_AGO = NOW - 3700


def working(**options: Any) -> Any:
    """A task that site-1 and site-3 have returned and site-2 has not."""
    return broadcast("site-1", "site-3", **{"sent": LONG_AGO, **options})


def test_a_site_without_a_result_or_a_metric_is_named_with_round_task_and_time() -> None:
    task = working()
    task.data.set_header("current_round", 4)
    finding = find_stalled_site(controller(task), {}, 3600, NOW)
    assert finding is not None
    assert finding.line.startswith("site-2, round 5: the task 'train' has run for 1 h 1 min without a result")
    assert "deployment.guard.task_timeout_seconds in project.yml" in finding.line


def test_a_site_that_logs_metrics_is_not_stalled() -> None:
    assert find_stalled_site(controller(working()), {"site-2": NOW - 60}, 3600, NOW) is None


@pytest.mark.parametrize(
    ("task", "timeout"),
    [
        (working(timeout=60), 3600),
        (working(sent=NOW - 60), 3600),
        (working(min_responses=2), 3600),
        (working(), 0),
    ],
    ids=["has a timeout", "is recent", "other sites suffice", "no limit"],
)
def test_a_task_that_may_still_complete_is_ignored(task: Any, timeout: float) -> None:
    assert find_stalled_site(controller(task), {}, timeout, NOW) is None


def test_a_site_that_blocks_a_relay_without_a_timeout_is_found() -> None:
    task = working()
    assert find_stalled_site(controller(as_relay(task, AnyRelayTaskManager(task, 0, True))), {}, 3600, NOW)
    task = as_relay(task, AnyRelayTaskManager(task, 60, True))
    assert find_stalled_site(controller(task), {}, 3600, NOW) is None


def test_nothing_is_stalled_between_two_workflows() -> None:
    assert find_stalled_site(None, {}, 3600, NOW) is None
