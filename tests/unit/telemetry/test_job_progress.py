"""Progress of a job: rounds, errors and warnings; what sites send cannot make it grow without bound."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsData, AnalyticsDataType
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from deploy.session.display import site_text
from fl_app.guard.finding import WARNING_EVENT, Finding
from fl_app.telemetry.analytics_events import FED_ANALYTICS
from fl_app.telemetry.documents import MAX_LABEL
from fl_app.telemetry.end_of_run import AtEndOfRun
from fl_app.telemetry.job import JobTelemetry
from fl_app.telemetry.job_progress import (
    MAX_META_BYTES,
    PROGRESS_FILE,
    SITE_ERROR_EVENT,
    WAITING_EVENT,
    BestModel,
    JobProgress,
    SiteProgress,
    final_progress,
    read_progress,
)
from fl_app.telemetry.measurements import MAX_TAGS


class Job(JobTelemetry):
    """The server's job process of a job with one site."""

    def __init__(self, results: Path | None = None, *, live: bool = False) -> None:
        super().__init__(live)
        self.engine = Mock(spec=ServerEngineSpec)
        self.engine.get_clients.return_value = [SimpleNamespace(name="site-1")]
        self.engine.run_manager = SimpleNamespace(handlers=(), add_handler=self.at_end)
        self.engine.get_workspace = lambda: SimpleNamespace(get_result_root=lambda job_id: results)
        self.handle_event(EventType.START_RUN, self.context())

    def at_end(self, handler: AtEndOfRun) -> None:
        self.end = lambda: handler.handle_event(EventType.END_RUN, self.context())

    def context(self) -> FLContext:
        context = FLContext()
        context.set_prop(ReservedKey.ENGINE, self.engine, private=True, sticky=False)
        return context

    def receive(self, site: str, tag: str, value: float = 1.0) -> None:
        event = AnalyticsData(tag, value, AnalyticsDataType.SCALAR).to_dxo().to_shareable()
        event.set_peer_props({ReservedKey.IDENTITY_NAME: site})
        context = self.context()
        context.set_prop(FLContextKey.EVENT_DATA, event, private=True, sticky=False)
        self.handle_event(FED_ANALYTICS, context)

    def fire(self, event: str, key: str, value: object) -> None:
        context, peer = self.context(), FLContext()
        peer.set_prop(ReservedKey.IDENTITY_NAME, "site-1", private=False, sticky=True)
        context.set_peer_context(peer)
        context.set_prop(key, value, private=True, sticky=False)
        self.handle_event(event, context)

    def answer(self, number: int | None, result: Shareable | None = None) -> None:
        task = Shareable()
        if number is not None:
            task.set_header(AppConstants.CURRENT_ROUND, number)
        self.fire(EventType.AFTER_TASK_DATA_FILTER, FLContextKey.TASK_DATA, task)
        self.fire(EventType.BEFORE_PROCESS_SUBMISSION, FLContextKey.TASK_RESULT, result or Shareable())

    @property
    def site(self) -> SiteProgress:
        return self._progress.sites["site-1"]


@pytest.fixture
def job() -> Job:
    return Job()


def test_the_tags_of_a_site_are_limited_in_number_and_length(job: Job) -> None:
    for number in range(MAX_TAGS + 5):
        job.receive("site-1", f"{number} " + "x" * MAX_LABEL)
    job.receive("site-1", "0 " + "x" * MAX_LABEL, 7.0)

    metrics = job._progress.sites["site-1"].metrics
    assert len(metrics) == MAX_TAGS
    assert {len(tag) for tag in metrics} == {MAX_LABEL}
    assert next(iter(metrics.values())) == 7.0, "known tags are still updated"


def test_only_sites_of_the_job_have_progress(job: Job) -> None:
    job.receive("invented", "loss")
    assert list(job._progress.sites) == ["site-1"]

    job.engine.get_clients.return_value.append(SimpleNamespace(name="site-2"))
    job.receive("site-2", "loss")
    assert list(job._progress.sites) == ["site-1", "site-2"], "a site may join later"


def test_rounds_are_counted_and_not_tasks(job: Job) -> None:
    for number in (0, 1, 1, None, None):  # two rounds, a second task of a round, a cross-site evaluation
        job.answer(number)
    assert site_text(job.site) == "2 rounds done"


def test_a_failed_result_is_no_round(job: Job) -> None:
    job.answer(0, make_reply(ReturnCode.EXECUTION_EXCEPTION))
    assert (job.site.rounds_done, job.site.error) == (0, ReturnCode.EXECUTION_EXCEPTION)


def test_the_error_that_a_site_sent_replaces_the_return_code(job: Job) -> None:
    error = "ValueError: negative age (client.py:33)"
    job.fire(SITE_ERROR_EVENT, FLContextKey.EVENT_DATA, ("site-1", error))
    job.answer(0, make_reply(ReturnCode.EXECUTION_EXCEPTION))
    assert site_text(job.site) == f"failed: {error}"


def test_a_site_that_answers_again_has_no_error(job: Job) -> None:
    job.answer(0, make_reply(ReturnCode.EXECUTION_EXCEPTION))
    job.answer(1)
    assert site_text(job.site) == "1 round done"


def test_a_warning_of_the_guard_is_shown(job: Job) -> None:
    job.fire(WARNING_EVENT, FLContextKey.EVENT_DATA, Finding("is odd", "Look."))
    assert job._progress.warnings == ("is odd. Look.",)


def test_a_job_process_that_is_started_again_continues_the_numbers_of_its_sites(job: Job) -> None:
    job.answer(0)
    job.answer(1)
    job.receive("site-1", "loss", 0.5)

    second = Job()
    second.resume(job.checkpoint())
    assert (second.site.rounds_done, second.site.metrics) == (2, {"loss": 0.5})
    second.answer(2)
    assert second.site.rounds_done == 3


def test_a_site_that_is_away_is_shown_with_the_reason(job: Job) -> None:
    job.fire(WAITING_EVENT, FLContextKey.EVENT_DATA, {"site-1": "no sign of life for 2 min"})
    assert site_text(job.site) == "away: no sign of life for 2 min"
    job.fire(WAITING_EVENT, FLContextKey.EVENT_DATA, {})
    assert site_text(job.site) == "0 rounds done"


def returned(**metrics: float) -> Shareable:
    return FLModelUtils.to_shareable(FLModel(params={"w": [1.0]}, metrics=metrics))


def test_returned_metrics_are_shown_unless_the_site_logs_the_same(job: Job) -> None:
    job.receive("site-1", "accuracy", 0.9)
    job.answer(0, returned(accuracy=0.5, auc=0.6))
    job.answer(1, returned(accuracy=0.6, auc=0.7))
    assert job.site.metrics == {"accuracy": 0.9, "auc": 0.7}


def test_values_that_the_server_logs_are_the_jobs(job: Job) -> None:
    event = AnalyticsData("test_accuracy", 0.8, AnalyticsDataType.SCALAR).to_dxo().to_shareable()
    job.fire(ANALYTIC_EVENT_TYPE, FLContextKey.EVENT_DATA, event)
    assert job._progress.metrics == {"test_accuracy": 0.8}


def test_the_best_model_is_named_by_the_round_that_made_it(job: Job) -> None:
    info = {"best_round": 3, "key_metric": {"name": "accuracy"}, "best_metrics": {"accuracy": 0.75}}
    job.fire(AppEventType.GLOBAL_BEST_MODEL_AVAILABLE, AppConstants.METRICS_SELECTION_INFO, info)
    assert job._progress.best == BestModel(round=3, metric="accuracy", value=0.75)

    second = Job()
    second.resume(job.checkpoint())
    assert second._progress.best == job._progress.best


def test_the_progress_is_a_file_of_the_results_and_in_the_jobs_meta(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.answer(0, returned(auc=0.7))
    assert not (tmp_path / PROGRESS_FILE).exists()
    job.end()
    document = final_progress([tmp_path / "none", tmp_path])
    assert read_progress(document) == job._progress
    assert document["sites"]["site-1"]["metrics"] == {"auc": 0.7}


def test_the_progress_of_a_diverged_job_is_read_and_does_not_change_with_each_poll(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.answer(0)
    job._progress.sites["site-1"].metrics = {"loss": math.nan, "auc": 0.5}
    job._progress.best = BestModel(round=1, metric="loss", value=math.inf)
    job.end()

    document = final_progress([tmp_path])

    json.dumps(document, allow_nan=False)
    first, second = read_progress(document), read_progress(document)
    assert first is not None
    assert first.sites["site-1"].rounds_done == 1
    assert first.sites["site-1"].metrics == {"loss": math.nan, "auc": 0.5}
    assert first == second


def test_a_simulation_writes_it_at_each_change(tmp_path: Path) -> None:
    job = Job(tmp_path, live=True)
    job.answer(0)
    assert (final_progress([tmp_path]) or {})["sites"]["site-1"]["rounds_done"] == 1


def test_the_meta_of_a_job_stays_small(tmp_path: Path) -> None:
    sites = {f"site-{number}": SiteProgress(metrics={"loss": 1.0}) for number in range(MAX_META_BYTES // 50)}
    (tmp_path / PROGRESS_FILE).write_text(JobProgress(round=2, rounds=2, sites=sites).model_dump_json())
    assert read_progress(final_progress([tmp_path])) == JobProgress(round=2, rounds=2)
    assert read_progress({"round": "of another release"}) is None
