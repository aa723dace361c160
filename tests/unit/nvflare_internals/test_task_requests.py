"""The interval of task requests follows the number of sites."""

from __future__ import annotations

import pytest
from nvflare.private.fed.server.server_runner import ServerRunner, ServerRunnerConfig

from fl_app.nvflare_internals.task_requests import (
    adapt_task_requests,
    task_request_interval,
)


@pytest.mark.parametrize(("sites", "seconds"), [(1, 0.1), (20, 0.1), (100, 0.5), (1000, 5.0)])
def test_the_interval_grows_with_the_number_of_sites(sites: int, seconds: float) -> None:
    assert task_request_interval(sites) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("configured", "sites", "seconds"),
    [
        pytest.param(2, 2, 0.1, id="the default is shorter for few sites"),
        pytest.param(2, 1000, 5.0, id="the default is longer for many sites"),
        pytest.param(0.02, 2, 0.02, id="the job's own interval stays"),
        pytest.param(10, 2, 10, id="a long interval stays"),
        pytest.param(0.1, 1000, 5.0, id="one too short for its sites does not"),
    ],
)
def test_a_starting_job_adapts_its_interval(configured: float, sites: int, seconds: float) -> None:
    runner = ServerRunner.__new__(ServerRunner)
    runner.config = ServerRunnerConfig(60, configured, [], {}, {})

    adapt_task_requests(runner, sites)

    assert runner.config.task_request_interval == pytest.approx(seconds)


def test_a_runner_that_does_not_exist_is_left_alone() -> None:
    adapt_task_requests(None, 1000)
