"""NVFlare component of every job process that provides its telemetry; the site's privacy.json loads it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsData, AnalyticsDataType
from nvflare.apis.dxo import from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.widgets.fed_event import FedEventRunner
from nvflare.widgets.info_collector import InfoCollector
from nvflare.widgets.widget import Widget

from fl_app.files import write_atomically
from fl_app.guard.finding import WARNING_EVENT
from fl_app.guard.warnings import MAX_LINES
from fl_app.survival.resumable import Resumable, State
from fl_app.telemetry.analytics_events import FED_ANALYTICS, site_that_logged
from fl_app.telemetry.documents import MAX_LABEL
from fl_app.telemetry.end_of_run import AtEndOfRun
from fl_app.telemetry.job_metrics import (
    EventHandlers,
    ServerJobMetrics,
    SiteJobMetrics,
    peer,
    result_error,
    returned_metrics,
)
from fl_app.telemetry.job_progress import (
    PROGRESS_FILE,
    SITE_ERROR_EVENT,
    STATS_GROUP,
    WAITING_EVENT,
    BestModel,
    JobProgress,
    SitePhase,
    SiteProgress,
)
from fl_app.telemetry.measurements import MAX_TAGS, Measurements
from fl_app.telemetry.push import Pusher, job_pusher

LATE_METRICS_GRACE = 0.3
"""Grace period for late metrics at the end of a job, in seconds; it applies twice (NVFlare: 2 s, twice).

A site sends its metrics before its result over the same connection, so metrics do not arrive later.
"""

FLUSH_SECONDS = 2.0
"""Maximum time for which the end of a job waits until its last values are pushed; usually milliseconds."""


class JobTelemetry(Widget, Resumable):
    """Push the metrics of a job process (`job_metrics`) to its parent.

    In the server's job process, also track rounds, metrics and errors of all sites, and add a
    `JobProgress` to NVFlare's `show_stats`. An error here is logged and does not affect the job.

    Args:
        live: whether the file of the progress in the job's results is written at each change, as a simulation
            needs it, and not at the end alone.
    """

    def __init__(self, live: bool = False) -> None:
        super().__init__()
        self.live = live
        self._file: Path | None = None
        self._lock = Lock()
        self._progress = JobProgress()
        self._open_round: dict[str, int | None] = {}
        self._answered_round: dict[str, int | None] = {}
        self._logged: set[tuple[str, str]] = set()
        """Site and tag of each value that a site logged."""
        self._pusher: Pusher | None = None
        self._metrics: EventHandlers | None = None
        self._progress_handlers = {
            EventType.START_RUN: self._run_started,
            AppEventType.ROUND_STARTED: self._round_started,
            EventType.AFTER_TASK_DATA_FILTER: self._task_sent,
            EventType.BEFORE_PROCESS_SUBMISSION: self._result_received,
            FED_ANALYTICS: self._metric_received,
            ANALYTIC_EVENT_TYPE: self._metric_logged,
            AppEventType.GLOBAL_BEST_MODEL_AVAILABLE: self._best_found,
            EventType.FATAL_SYSTEM_ERROR: self._failed,
            WARNING_EVENT: self._warned,
            SITE_ERROR_EVENT: self._site_failed,
            WAITING_EVENT: self._waiting,
            InfoCollector.EVENT_TYPE_GET_STATS: self._report,
        }

    def checkpoint(self) -> State:
        """Return what the sites have done so far."""
        with self._lock:
            sites = self._progress.model_copy(deep=True).sites
            best = self._progress.best
        kept = {name: site.model_dump(include={"rounds_done", "metrics"}) for name, site in sites.items()}
        return State(document={"sites": kept, "best": best and best.model_dump()})

    def resume(self, state: State) -> None:
        """Continue the numbers of rounds and the metrics of the sites."""
        best = state.document.get("best")
        with self._lock:
            self._progress.best = best and BestModel.model_validate(best)
            for name, kept in state.document["sites"].items():
                before = self._progress.sites.get(name, SiteProgress())
                self._progress.sites[name] = before.model_copy(update=kept)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        with self._logging_errors(event_type):
            is_server = isinstance(fl_ctx.get_engine(), ServerEngineSpec)
            if self._metrics is None:
                self._metrics = self._start_metrics(is_server)
            if event_type in self._progress_handlers and is_server:
                with self._lock:
                    self._progress_handlers[event_type](fl_ctx)
                    if self.live:
                        self._write(fl_ctx)
        with self._logging_errors(event_type):
            if self._metrics is not None and event_type in self._metrics:
                self._metrics[event_type](fl_ctx)
            if event_type == EventType.END_RUN and self._pusher is not None:
                self._pusher.flush(FLUSH_SECONDS)

    def _start_metrics(self, is_server: bool) -> EventHandlers:
        self._pusher = job_pusher()
        if self._pusher is None:
            return {}
        measurements = Measurements()
        self._pusher.attach(measurements)
        return (ServerJobMetrics if is_server else SiteJobMetrics)(measurements).handlers

    @contextlib.contextmanager
    def _logging_errors(self, event_type: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # an error of telemetry must not affect the job
            self.logger.debug("Telemetry: handling of the event %s failed: %s", event_type, error)

    def _run_started(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        self._progress = JobProgress(sites={name: SiteProgress() for name in _sites_of_job(fl_ctx)})
        shorten_end(engine)
        self._file = Path(engine.get_workspace().get_result_root(fl_ctx.get_job_id()), PROGRESS_FILE)
        engine.run_manager.add_handler(AtEndOfRun(self._write))

    def _write(self, fl_ctx: FLContext) -> None:
        if self._file is not None:
            write_atomically(self._file, self._progress.model_dump_json(indent=2).encode())

    def _round_started(self, fl_ctx: FLContext) -> None:
        self._progress.round = int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND)) + 1
        self._set_rounds(fl_ctx.get_prop(AppConstants.NUM_ROUNDS))

    def _set_rounds(self, total: Any) -> None:
        if total is not None:
            self._progress.rounds = int(total)

    def _task_sent(self, fl_ctx: FLContext) -> None:
        task: Shareable | None = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        if task is not None:
            self._set_rounds(task.get_header(AppConstants.NUM_ROUNDS))
        name = peer(fl_ctx) or ""
        if (site := self._site(fl_ctx, name)) is not None:
            site.phase = SitePhase.TRAINING
            self._open_round[name] = task.get_header(AppConstants.CURRENT_ROUND) if task is not None else None

    def _result_received(self, fl_ctx: FLContext) -> None:
        name = peer(fl_ctx) or ""
        site = self._site(fl_ctx, name)
        if site is None:
            return
        if error := result_error(fl_ctx):
            site.phase, site.error = SitePhase.FAILED, site.error or error[:MAX_LABEL]
            return
        number = self._open_round.get(name)
        is_new = number is not None and number != self._answered_round.get(name)
        self._answered_round[name] = number
        site.phase, site.error = SitePhase.WAITING, ""
        site.rounds_done += is_new
        self._add_returned_metrics(name, fl_ctx.get_prop(FLContextKey.TASK_RESULT))

    def _add_returned_metrics(self, name: str, result: Any) -> None:
        """Show the metrics of a result, unless the site logs values of the same name."""
        for tag, value in returned_metrics(result).items():
            if (name, tag) not in self._logged:
                _add(self._progress.sites[name].metrics, tag, value)

    def _site_failed(self, fl_ctx: FLContext) -> None:
        name, error = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        if (site := self._site(fl_ctx, name)) is not None:
            site.phase, site.error = SitePhase.FAILED, error

    def _metric_received(self, fl_ctx: FLContext) -> None:
        event: Shareable = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        site = self._site(fl_ctx, event.get_peer_prop(ReservedKey.IDENTITY_NAME, None))
        if site is not None and (tag := _add_scalar(site.metrics, event)):
            self._logged.add((str(event.get_peer_prop(ReservedKey.IDENTITY_NAME, None)), tag))

    def _metric_logged(self, fl_ctx: FLContext) -> None:
        if not site_that_logged(fl_ctx):
            _add_scalar(self._progress.metrics, fl_ctx.get_prop(FLContextKey.EVENT_DATA))

    def _best_found(self, fl_ctx: FLContext) -> None:
        found = fl_ctx.get_prop(AppConstants.METRICS_SELECTION_INFO)
        (metric, value), *_ = found["best_metrics"].items()
        # NVFlare counts from 0, and names the round in which the sites evaluated the model of the one before.
        self._progress.best = BestModel(round=int(found["best_round"]), metric=metric, value=value)

    def _failed(self, fl_ctx: FLContext) -> None:
        reason = str(fl_ctx.get_prop(FLContextKey.EVENT_DATA, ""))
        self._progress.fatal = self._progress.fatal or reason  # later errors are consequences of the first

    def _warned(self, fl_ctx: FLContext) -> None:
        line = fl_ctx.get_prop(FLContextKey.EVENT_DATA).line
        if len(self._progress.warnings) < MAX_LINES:
            self._progress.warnings = (*self._progress.warnings, line)

    def _waiting(self, fl_ctx: FLContext) -> None:
        reasons = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        for name in {*self._progress.sites, *reasons}:
            if (site := self._site(fl_ctx, name)) is not None:
                site.away = reasons.get(name, "")

    def _report(self, fl_ctx: FLContext) -> None:
        collector = fl_ctx.get_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR)
        if collector is not None:
            collector.set_info(STATS_GROUP, self._progress.model_dump(mode="json"))

    def _site(self, fl_ctx: FLContext, name: str | None) -> SiteProgress | None:
        """Return the progress of a site; None if the job has no site of that name."""
        if name not in self._progress.sites and name in _sites_of_job(fl_ctx):
            self._progress.sites[name] = SiteProgress()
        return self._progress.sites.get(name or "")


def _add_scalar(metrics: dict[str, float], event: Shareable) -> str:
    """Keep a logged scalar, and return its tag; "" if it is no scalar, or exceeds the number of tags."""
    point = AnalyticsData.from_dxo(from_shareable(event))
    if point is None or point.data_type != AnalyticsDataType.SCALAR:
        return ""
    return _add(metrics, point.tag, float(point.value))


def _add(metrics: dict[str, float], tag: str, value: float) -> str:
    tag = tag[:MAX_LABEL]
    if tag not in metrics and len(metrics) >= MAX_TAGS:
        return ""
    metrics[tag] = value
    return tag


def _sites_of_job(fl_ctx: FLContext) -> list[str]:
    return [client.name for client in fl_ctx.get_engine().get_clients()]


def shorten_end(engine: Any) -> None:
    """Shorten the four seconds for which NVFlare waits for late metrics at the end of a job.

    Both periods are arguments of `FedEventRunner`, for which NVFlare offers no setting.
    """
    for handler in getattr(engine.run_manager, "handlers", ()):
        if isinstance(handler, FedEventRunner):
            handler.grace_period = handler.queue_empty_period = LATE_METRICS_GRACE
