"""The telemetry of a job process, loaded beside every job through the site's privacy.json: it watches, and
never harms."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from threading import Lock
from typing import Any

from nvflare.apis.analytix import AnalyticsData, AnalyticsDataType
from nvflare.apis.dxo import from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.widgets.fed_event import FedEventRunner
from nvflare.widgets.info_collector import InfoCollector
from nvflare.widgets.widget import Widget

from fl_app.jobs.progress import STATS_GROUP, JobProgress, SitePhase, SiteProgress
from fl_app.telemetry.job_metrics import Reactions, ServerMetrics, SiteMetrics, peer
from fl_app.telemetry.logged import FED_ANALYTICS
from fl_app.telemetry.measurements import Measurements
from fl_app.telemetry.push import Pusher, job_pusher

LATE_METRICS_GRACE = 0.3
"""Seconds for which the server waits for metrics that may still come when a job ends, twice (NVFlare: 2
seconds, twice).

A site sends its metrics before its result over the same connection, so they are at the server when the result
is.
"""

FLUSH_SECONDS = 2.0
"""At most so long does a job's end wait until its parent has its last values; usually milliseconds."""
_OTHER_ANSWERS = (None, ReturnCode.OK)


class JobTelemetry(Widget):
    """Pushes what a job's processes measure to their parents (`job_metrics`), from the first event on.

    In the server's process, which alone sees all sites, it also follows rounds, metrics and errors of the
    job, and answers NVFlare's `show_stats` with a `JobProgress`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._progress = JobProgress()
        self._log = logging.getLogger(type(self).__name__)
        self._pusher: Pusher | None = None
        self._measures: Reactions | None = None
        self._on = {
            EventType.START_RUN: self._run_started,
            AppEventType.ROUND_STARTED: self._round_started,
            EventType.AFTER_TASK_DATA_FILTER: self._task_sent,
            EventType.BEFORE_PROCESS_SUBMISSION: self._result_received,
            FED_ANALYTICS: self._metric_received,
            EventType.FATAL_SYSTEM_ERROR: self._failed,
            InfoCollector.EVENT_TYPE_GET_STATS: self._report,
        }

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Follow the job."""
        with self._without_harm(event_type):
            is_server = isinstance(fl_ctx.get_engine(), ServerEngineSpec)
            if self._measures is None:
                self._measures = self._begin_to_measure(is_server)
            if event_type in self._on and is_server:
                self._on[event_type](fl_ctx)
        with self._without_harm(event_type):
            if self._measures is not None and event_type in self._measures:
                self._measures[event_type](fl_ctx)
            if event_type == EventType.END_RUN and self._pusher is not None:
                self._pusher.flush(FLUSH_SECONDS)

    def _begin_to_measure(self, is_server: bool) -> Reactions:
        self._pusher = job_pusher()
        if self._pusher is None:
            return {}
        measurements = Measurements()
        self._pusher.attach(measurements)
        return (ServerMetrics if is_server else SiteMetrics)(measurements).on

    @contextlib.contextmanager
    def _without_harm(self, event_type: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a job is worth more than its telemetry
            self._log.debug("telemetry of %s failed: %s", event_type, error)

    def _run_started(self, fl_ctx: FLContext) -> None:
        with self._lock:
            sites = {client.name: SiteProgress() for client in fl_ctx.get_engine().get_clients()}
            self._progress = JobProgress(sites=sites)
        shorten_end(fl_ctx.get_engine())

    def _round_started(self, fl_ctx: FLContext) -> None:
        current, total = (
            fl_ctx.get_prop(AppConstants.CURRENT_ROUND),
            fl_ctx.get_prop(AppConstants.NUM_ROUNDS),
        )
        with self._lock:
            rounds = self._progress.rounds if total is None else int(total)
            self._progress = self._progress.model_copy(update={"round": int(current) + 1, "rounds": rounds})

    def _task_sent(self, fl_ctx: FLContext) -> None:
        task: Shareable | None = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        total = task.get_header(AppConstants.NUM_ROUNDS) if task is not None else None
        with self._lock:
            if total is not None:
                self._progress = self._progress.model_copy(update={"rounds": int(total)})
        self._update(peer(fl_ctx), phase=SitePhase.TRAINING)

    def _result_received(self, fl_ctx: FLContext) -> None:
        result: Shareable | None = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        code = result.get_return_code() if result is not None else None
        site = peer(fl_ctx)
        if site is None:
            return
        if code not in _OTHER_ANSWERS:
            self._update(site, phase=SitePhase.FAILED, error=str(code))
        else:
            done = self._progress.sites.get(site, SiteProgress()).rounds_done + 1
            self._update(site, phase=SitePhase.WAITING, rounds_done=done)

    def _metric_received(self, fl_ctx: FLContext) -> None:
        event: Shareable = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        site = event.get_peer_prop(ReservedKey.IDENTITY_NAME, None)
        point = AnalyticsData.from_dxo(from_shareable(event))
        if site is None or point is None or point.data_type != AnalyticsDataType.SCALAR:
            return
        known = self._progress.sites.get(site, SiteProgress()).metrics
        self._update(site, metrics={**known, point.tag: float(point.value)})

    def _failed(self, fl_ctx: FLContext) -> None:
        reason = str(fl_ctx.get_prop(FLContextKey.EVENT_DATA, ""))
        with self._lock:  # what comes after the first merely follows from it
            self._progress = self._progress.model_copy(update={"fatal": self._progress.fatal or reason})

    def _report(self, fl_ctx: FLContext) -> None:
        collector = fl_ctx.get_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR)
        if collector is not None:
            collector.set_info(STATS_GROUP, self._progress.model_dump(mode="json"))

    def _update(self, site: str | None, **changes: Any) -> None:
        if site is None:
            return
        with self._lock:
            before = self._progress.sites.get(site, SiteProgress())
            sites = {**self._progress.sites, site: before.model_copy(update=changes)}
            self._progress = self._progress.model_copy(update={"sites": sites})


def shorten_end(engine: Any) -> None:
    """Let a job end without NVFlare's four seconds of waiting for late metrics.

    The two periods are arguments of `FedEventRunner`, which NVFlare constructs without them and offers no
    setting for.
    """
    for handler in getattr(engine.run_manager, "handlers", ()):
        if isinstance(handler, FedEventRunner):
            handler.grace_period = handler.queue_empty_period = LATE_METRICS_GRACE
