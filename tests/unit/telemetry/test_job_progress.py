"""Progress of a job: what sites send cannot make it grow without bound."""

from __future__ import annotations

from threading import Thread
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from nvflare.apis.analytix import AnalyticsData, AnalyticsDataType
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec

from fl_app.guard.finding import WARNING_EVENT, Finding
from fl_app.telemetry.analytics_events import FED_ANALYTICS
from fl_app.telemetry.documents import MAX_LABEL
from fl_app.telemetry.job import JobTelemetry
from fl_app.telemetry.measurements import MAX_TAGS


class Job(JobTelemetry):
    """The server's job process of a job with one site."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Mock(spec=ServerEngineSpec)
        self.engine.get_clients.return_value = [SimpleNamespace(name="site-1")]
        self.engine.run_manager = SimpleNamespace(handlers=())
        self.handle_event(EventType.START_RUN, self.context())

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


def test_a_warning_of_the_guard_is_part_of_the_progress(job: Job) -> None:
    finding = Finding("no site changed any parameter", "Check the learning rate.", round=1)
    context = job.context()
    context.set_prop(FLContextKey.EVENT_DATA, finding, private=True, sticky=False)

    event = Thread(target=job.handle_event, args=(WARNING_EVENT, context), daemon=True)  # it blocked once
    event.start()
    event.join(10)

    assert not event.is_alive()
    assert job._progress.warnings == (finding.line,)
