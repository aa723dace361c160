"""A site that lives and gets nowhere ends a job only where it holds it up."""

from __future__ import annotations

from typing import Any

import pytest
from nvflare.apis.impl.any_relay_manager import AnyRelayTaskManager
from nvflare.apis.impl.wf_comm_server import _TASK_KEY_MANAGER

from fl_app.contract import ENV_TASK_TIMEOUT
from fl_app.guard.stalled import stuck, task_timeout
from tests.unit.guard.test_heartbeat import controller, task

NOW = 10_000.0


def at_work(*sites: str, sent: float = NOW - 3700, answered: tuple[str, ...] = (), **options: Any) -> Any:
    """A task that these sites have had since `sent`."""
    made = task((*answered, *sites), **options)
    for one in made.client_tasks:
        one.task_sent_time = sent
        if one.client.name in sites:
            one.result_received_time = None
    return made


def test_a_site_that_neither_returns_nor_logs_is_named_with_round_task_and_time() -> None:
    made = at_work("site-2", answered=("site-1", "site-3"))
    made.data.set_header("current_round", 4)
    finding = stuck(controller(made), {}, 3600, NOW)
    assert finding is not None
    assert finding.line.startswith("site-2, round 5: at work on the task 'train' for 1 h 1 min, and neither")
    assert ENV_TASK_TIMEOUT in finding.line


def test_a_site_that_logs_is_at_work() -> None:
    assert stuck(controller(at_work("site-2")), {"site-2": NOW - 60}, 3600, NOW) is None


@pytest.mark.parametrize(
    ("standing", "limit"),
    [
        (at_work("site-2", timeout=60), 3600),
        (at_work("site-2", sent=NOW - 60), 3600),
        (at_work("site-2", answered=("site-1", "site-3"), min_responses=2), 3600),
        (at_work("site-2"), 0),
    ],
    ids=["it has a timeout", "not for long", "enough others", "no limit"],
)
def test_a_task_that_may_still_end_is_left_alone(standing: Any, limit: float) -> None:
    assert stuck(controller(standing), {}, limit, NOW) is None


def test_a_site_that_holds_up_a_relay_is_found_too() -> None:
    relayed = at_work("site-2")
    relayed.props[_TASK_KEY_MANAGER] = AnyRelayTaskManager(relayed, 0, True)
    assert stuck(controller(relayed), {}, 3600, NOW) is not None
    relayed.props[_TASK_KEY_MANAGER] = AnyRelayTaskManager(relayed, 60, True)
    assert stuck(controller(relayed), {}, 3600, NOW) is None


def test_without_a_workflow_nothing_is_stuck() -> None:
    assert stuck(None, {}, 3600, NOW) is None


def test_the_limit_is_the_servers_or_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_TASK_TIMEOUT, raising=False)
    assert task_timeout() == 24 * 3600
    monkeypatch.setenv(ENV_TASK_TIMEOUT, "7200")
    assert task_timeout() == 7200
