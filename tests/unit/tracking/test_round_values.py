"""Values of rounds that a job does not log: what sites return, and durations of rounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fl_app.tracking.job import JobAnalytics
from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.round_values import RoundValues
from tests.event_files import read_run

Found = list[tuple[str, str, int, float]]


class Job(RoundValues):
    """The values of a job, by the events of its server."""

    def at(self, event: str, site: str = "", **properties: object) -> Found:
        return [
            (one.site, one.tag, one.step, one.value) for one in self.points(event, context(site, properties))
        ]

    def task(self, site: str, number: int | None) -> Found:
        task = Shareable()
        if number is not None:
            task.set_header(AppConstants.CURRENT_ROUND, number)
        return self.at(EventType.AFTER_TASK_DATA_FILTER, site, **{FLContextKey.TASK_DATA: task})

    def result(self, site: str, **metrics: float) -> Found:
        result = FLModelUtils.to_shareable(FLModel(params={"w": [1.0]}, metrics=metrics))
        return self.at(EventType.BEFORE_PROCESS_SUBMISSION, site, **{FLContextKey.TASK_RESULT: result})

    def log(self, site: str, tag: str) -> None:
        self.logged([ScalarPoint(site=site, tag=tag, time=0.0, value=1.0)])

    def end(self) -> Found:
        return self.at(EventType.ABOUT_TO_END_RUN)


def context(site: str, properties: dict[str, object]) -> FLContext:
    made = FLContext()
    if site:
        peer = FLContext()
        peer.set_prop(ReservedKey.IDENTITY_NAME, site, private=False, sticky=True)
        made.set_peer_context(peer)
    for key, value in properties.items():
        made.set_prop(key, value, private=True, sticky=False)
    return made


@pytest.fixture
def job() -> Job:
    return Job()


def test_a_returned_metric_is_a_value_of_its_round_once_the_next_task_is_sent(job: Job) -> None:
    assert job.task("north", 0) == []
    assert job.result("north", accuracy=0.5) == []
    assert job.task("north", 1) == [("north", "accuracy", 1, 0.5)]
    assert job.result("north", accuracy=0.6) == []
    assert job.end() == [("north", "accuracy", 2, 0.6)]
    assert job.end() == []


def test_a_metric_that_the_site_logs_before_or_after_its_result_is_not_shown_twice(job: Job) -> None:
    job.task("north", 0)
    job.task("south", 0)
    job.log("north", "loss")
    job.result("north", loss=0.5)
    job.result("south", loss=0.5)
    job.log("south", "loss")
    assert job.task("north", 1) + job.task("south", 1) + job.end() == []


def test_a_round_with_several_tasks_has_one_value_of_each_metric(job: Job) -> None:
    job.task("north", 0)
    job.result("north", accuracy=0.5)
    job.task("north", 0)
    job.result("north", accuracy=0.7, auc=0.8)
    assert job.end() == [("north", "auc", 1, 0.8)]


def test_a_task_outside_of_a_round_has_no_values(job: Job) -> None:
    job.task("north", None)
    job.result("north", accuracy=0.5)
    assert job.end() == []


def test_a_result_of_another_kind_has_no_values(job: Job) -> None:
    job.task("north", 0)
    job.at(EventType.BEFORE_PROCESS_SUBMISSION, "north", **{FLContextKey.TASK_RESULT: Shareable()})
    job.at(EventType.BEFORE_PROCESS_SUBMISSION, "north", **{FLContextKey.TASK_RESULT: None})
    assert job.end() == []


def test_a_job_without_any_value_shows_the_durations_of_its_rounds(job: Job) -> None:
    found = [*job.at(AppEventType.ROUND_STARTED, **{AppConstants.CURRENT_ROUND: 0})]
    found += job.at(AppEventType.ROUND_STARTED, **{AppConstants.CURRENT_ROUND: 1})
    found += job.at(AppEventType.ROUND_DONE)
    found += job.at(EventType.END_WORKFLOW)
    assert [(site, tag, step) for site, tag, step, _ in found] == [
        ("", "round_duration_seconds", 1),
        ("", "round_duration_seconds", 2),
    ]
    assert all(0 <= value < 60 for *_, value in found)


@pytest.mark.parametrize("kind", ["logged", "returned", "aborted"])
def test_a_duration_is_not_shown_beside_other_values_or_of_an_aborted_round(job: Job, kind: str) -> None:
    job.at(AppEventType.ROUND_STARTED, **{AppConstants.CURRENT_ROUND: 0})
    signal = Signal()
    if kind == "logged":
        job.log("", "accuracy")
    elif kind == "returned":
        job.task("north", 0)
        job.result("north", accuracy=0.5)
    else:
        signal.trigger(True)
    assert job.at(EventType.END_WORKFLOW, **{ReservedKey.RUN_ABORT_SIGNAL: signal}) == []


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[JobAnalytics]:
    """The component in the server of a simulation, which has no parent."""
    workspace = SimpleNamespace(get_result_root=lambda job_id: str(tmp_path))
    engine = MagicMock(ServerEngineSpec, run_manager=Mock(), get_workspace=lambda: workspace)
    component = JobAnalytics(folder="events")
    started = context("", {ReservedKey.ENGINE: engine})
    component.handle_event(EventType.START_RUN, started)
    yield component


def test_a_simulation_writes_event_files_itself(simulated: JobAnalytics, tmp_path: Path) -> None:
    task = Shareable()
    task.set_header(AppConstants.CURRENT_ROUND, 0)
    result = FLModelUtils.to_shareable(FLModel(params={"w": [1.0]}, metrics={"accuracy": 0.5}))
    simulated.handle_event(EventType.AFTER_TASK_DATA_FILTER, context("north", {FLContextKey.TASK_DATA: task}))
    simulated.handle_event(
        EventType.BEFORE_PROCESS_SUBMISSION, context("north", {FLContextKey.TASK_RESULT: result})
    )
    simulated.handle_event(EventType.ABOUT_TO_END_RUN, context("", {}))

    (value,) = read_run(tmp_path / "events" / "north").Scalars("accuracy")
    assert (value.step, value.value) == (1, 0.5)
