"""A step of a round that is trained again is stored once; a series that repeats its steps loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.written_steps import WrittenSteps


@pytest.fixture
def steps(tmp_path: Path) -> WrittenSteps:
    return WrittenSteps(tmp_path)


def point(step: int, tag: str = "loss", site: str = "site-1") -> ScalarPoint:
    return ScalarPoint(site=site, tag=tag, step=step, time=1.0, value=0.5)


def store(
    steps: WrittenSteps, *numbers: int, job: str = "job", tag: str = "loss", site: str = "site-1"
) -> list[int]:
    """Store points; return the steps of those that were not dropped."""
    points = [point(number, tag, site) for number in numbers]
    new = steps.new(job, points)
    assert steps.new(job, points) == new, "a job sends its points again if they cannot be stored"
    steps.record(job, points)
    return [one.step for one in new]


def test_a_step_that_is_logged_again_after_an_interruption_is_dropped(steps: WrittenSteps) -> None:
    assert store(steps, 1, 2) == [1, 2]
    steps.interrupted("job")

    assert store(steps, 2, 3) == [3]
    steps.interrupted("job")
    assert store(steps, 1, 3, 4) == [4]


def test_sites_tags_and_jobs_are_independent(steps: WrittenSteps) -> None:
    store(steps, 1)
    steps.interrupted("job")

    assert store(steps, 1, site="site-2") == [1]
    assert store(steps, 1, tag="accuracy") == [1]
    assert store(steps, 1, job="other") == [1]


def test_a_series_that_repeats_its_steps_loses_nothing(steps: WrittenSteps) -> None:
    """A script that counts from 0 in each round, or logs without a step."""
    assert store(steps, 0, 1, 0, 1) == [0, 1, 0, 1]
    steps.interrupted("job")

    assert store(steps, 0, 1) == [0, 1]


@pytest.mark.parametrize("steps_of_a_round", [(0, 1, 2), (0,)])
def test_a_series_that_was_interrupted_in_its_first_round_loses_one_repetition(
    steps: WrittenSteps, steps_of_a_round: tuple[int, ...]
) -> None:
    """A script that counts from 0 in each round, or logs without a step."""
    numbers = list(steps_of_a_round)
    assert store(steps, *numbers) == numbers
    steps.interrupted("job")

    assert store(steps, *numbers) == [], "the first round is trained again"
    assert store(steps, *numbers) == numbers, "the second round"
    steps.interrupted("job")
    assert store(steps, *numbers) == numbers


def test_repetitions_that_arrive_together_after_an_interruption_lose_one(steps: WrittenSteps) -> None:
    assert store(steps, 0, 1) == [0, 1]
    steps.interrupted("job")

    assert store(steps, 0, 1, 0, 1) == [0, 1]


def test_the_same_step_within_one_life_is_kept(steps: WrittenSteps) -> None:
    steps.interrupted("job")

    assert store(steps, 5, 5) == [5, 5]


def test_a_restart_of_the_servers_parent_forgets_nothing_and_the_end_of_the_job_everything(
    steps: WrittenSteps, tmp_path: Path
) -> None:
    store(steps, 1)
    steps.interrupted("job")
    steps.close()

    again = WrittenSteps(tmp_path)
    assert store(again, 1, 2) == [2]
    again.forget("job")
    assert store(again, 1) == [1]


def test_a_damaged_database_loses_no_value(steps: WrittenSteps, caplog: pytest.LogCaptureFixture) -> None:
    steps.close()

    assert store(steps, 1, 2) == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "Analytics: a round that is trained again may log its steps twice: "
        "Cannot operate on a closed database."
    ]
