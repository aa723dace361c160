"""Metrics of job processes, from NVFlare's events: rounds and results on the server, tasks on a site."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsData
from nvflare.apis.dxo import MetaKey, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fl_app.guard.finding import WARNING_EVENT
from fl_app.telemetry.analytics_events import FED_ANALYTICS, scalars_of, site_that_logged
from fl_app.telemetry.measurements import Measurements

EventHandlers = Mapping[str, Callable[[FLContext], None]]


class _JobMetrics:
    handlers: EventHandlers

    def __init__(self, measurements: Measurements) -> None:
        self._measurements = measurements

    def _failed(self, fl_ctx: FLContext) -> None:
        self._measurements.add("job_errors_total", 1, "fatal")

    def _count_result(self, fl_ctx: FLContext, metric: str) -> bool:
        """Count the size of a result, or its error; return whether it is no error."""
        if error := result_error(fl_ctx):
            self._measurements.add("job_errors_total", 1, error.lower())
        else:
            self._measurements.add(metric, array_bytes(fl_ctx.get_prop(FLContextKey.TASK_RESULT)))
        return not error


class ServerJobMetrics(_JobMetrics):
    """Measure the server's part of a job."""

    def __init__(self, measurements: Measurements) -> None:
        super().__init__(measurements)
        self._sites: set[str] = set()
        self._participants: set[str] = set()
        self._round: int | None = None
        self._round_start = self._aggregation_start = 0.0
        self._has_failed = False
        self._lock = threading.Lock()
        self.handlers = {
            EventType.START_RUN: self._find_sites,
            AppEventType.ROUND_STARTED: self._round_started,
            EventType.AFTER_TASK_DATA_FILTER: self._task_sent,
            EventType.BEFORE_PROCESS_SUBMISSION: self._result_received,
            AppEventType.AFTER_CONTRIBUTION_ACCEPT: self._result_accepted,
            AppEventType.BEFORE_AGGREGATION: self._aggregation_started,
            AppEventType.AFTER_AGGREGATION: self._aggregation_done,
            AppEventType.ROUND_DONE: self._round_done,
            EventType.END_WORKFLOW: self._round_done,
            EventType.FATAL_SYSTEM_ERROR: self._failed,
            WARNING_EVENT: self._warned,
            FED_ANALYTICS: self._logged,
            ANALYTIC_EVENT_TYPE: self._logged,
        }

    def _find_sites(self, fl_ctx: FLContext) -> None:
        """Start the counters of new sites at zero: a site that is lost in the first round has them, too."""
        for site in {client.name for client in fl_ctx.get_engine().get_clients()} - self._sites:
            self._sites.add(site)
            self._measurements.add("rounds_participated_total", 0, site)
            self._measurements.add("rounds_missed_total", 0, site)

    def _round_started(self, fl_ctx: FLContext) -> None:
        number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
        if number is None or int(number) == self._round:
            return
        self._round_done(fl_ctx)
        with self._lock:
            self._round, self._round_start, self._participants = int(number), time.monotonic(), set()
        self._measurements.set("job_round", self._round + 1)
        self._measurements.set("round_started_timestamp_seconds", time.time())
        _set_rounds(self._measurements, fl_ctx.get_prop(AppConstants.NUM_ROUNDS))

    def _round_done(self, fl_ctx: FLContext) -> None:
        """Record the end of a round, unless the job failed or was aborted in it."""
        with self._lock:
            is_finished = self._round is not None and not self._has_failed
            start, self._round = self._round_start, None
        if not is_finished or is_aborted(fl_ctx):
            return
        self._find_sites(fl_ctx)
        self._measurements.observe("round_duration_seconds", time.monotonic() - start)
        self._measurements.set("round_sites", len(self._participants))
        for site in self._sites | self._participants:
            participated = site in self._participants
            self._measurements.add("rounds_participated_total", participated, site)
            self._measurements.add("rounds_missed_total", not participated, site)

    def _task_sent(self, fl_ctx: FLContext) -> None:
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        self._measurements.add("model_sent_bytes_total", array_bytes(task))
        if isinstance(task, Shareable):
            _set_rounds(self._measurements, task.get_header(AppConstants.NUM_ROUNDS))

    def _result_received(self, fl_ctx: FLContext) -> None:
        if self._count_result(fl_ctx, "model_received_bytes_total") and (site := peer(fl_ctx)) is not None:
            self._participants.add(site)

    def _result_accepted(self, fl_ctx: FLContext) -> None:
        if fl_ctx.get_prop(AppConstants.AGGREGATION_ACCEPTED) is False:
            self._participants.discard(peer(fl_ctx) or "")

    def _aggregation_started(self, fl_ctx: FLContext) -> None:
        self._aggregation_start = time.monotonic()

    def _aggregation_done(self, fl_ctx: FLContext) -> None:
        self._measurements.observe("aggregation_duration_seconds", time.monotonic() - self._aggregation_start)

    def _failed(self, fl_ctx: FLContext) -> None:
        self._has_failed = True
        super()._failed(fl_ctx)

    def _warned(self, fl_ctx: FLContext) -> None:
        self._measurements.add("job_warnings_total", 1, fl_ctx.get_prop(FLContextKey.EVENT_DATA).rule)

    def _logged(self, fl_ctx: FLContext) -> None:
        event: Shareable = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        _record_logged(self._measurements, event, site_that_logged(fl_ctx))


class SiteJobMetrics(_JobMetrics):
    """Measure a site's part of a job."""

    def __init__(self, measurements: Measurements) -> None:
        super().__init__(measurements)
        self._task_start: float | None = None
        self.handlers = {
            EventType.BEFORE_TASK_EXECUTION: self._task_started,
            EventType.AFTER_TASK_EXECUTION: self._task_done,
            EventType.BEFORE_SEND_TASK_RESULT: self._task_result_sent,
            EventType.FATAL_SYSTEM_ERROR: self._failed,
            ANALYTIC_EVENT_TYPE: self._logged,
        }

    def _task_started(self, fl_ctx: FLContext) -> None:
        self._task_start = time.monotonic()
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        self._measurements.add("model_received_bytes_total", array_bytes(task))
        if isinstance(task, Shareable):
            number = task.get_header(AppConstants.CURRENT_ROUND)
            _set_rounds(self._measurements, task.get_header(AppConstants.NUM_ROUNDS))
            if number is not None:
                self._measurements.set("job_round", int(number) + 1)
                self._measurements.set("round_started_timestamp_seconds", time.time())

    def _task_done(self, fl_ctx: FLContext) -> None:
        start, self._task_start = self._task_start, None
        if start is not None:
            self._measurements.observe("task_duration_seconds", time.monotonic() - start)
        self._count_result(fl_ctx, "model_sent_bytes_total")

    def _task_result_sent(self, fl_ctx: FLContext) -> None:
        """Count a task that raised: NVFlare fires no event for it but the sending of its result, an error."""
        if self._task_start is not None:
            self._task_start = None
            if not is_aborted(fl_ctx):
                self._measurements.add("job_errors_total", 1, ReturnCode.EXECUTION_EXCEPTION.lower())

    def _logged(self, fl_ctx: FLContext) -> None:
        _record_logged(self._measurements, fl_ctx.get_prop(FLContextKey.EVENT_DATA), "")


def peer(fl_ctx: FLContext) -> str | None:
    """Return the site that sent the message of this context; None if there is none."""
    context = fl_ctx.get_peer_context()
    return context.get_identity_name() if context is not None else None


def result_error(fl_ctx: FLContext) -> str:
    """Return NVFlare's return code of the result in this context; "" if the result is no error."""
    result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
    code = result.get_return_code() if isinstance(result, Shareable) else None
    return "" if code in (None, ReturnCode.OK) else str(code)


def returned_metrics(result: Any) -> dict[str, float]:
    """Return the metrics that a site returned with its result, by name; {} if there are none."""
    if not isinstance(result, Shareable):
        return {}
    try:
        metrics = from_shareable(result).get_meta_prop(MetaKey.INITIAL_METRICS)
    except ValueError:  # a result of another kind
        return {}
    found = metrics.items() if isinstance(metrics, dict) else ()
    return {str(name): float(value) for name, value in found if isinstance(value, Real)}


def array_bytes(value: Any, depth: int = 8) -> int:
    """Return the size of all arrays, tensors and byte strings in a task or a result, in bytes."""
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    if isinstance(value, bytes | bytearray):
        return len(value)
    if depth and isinstance(value, dict):
        return sum(array_bytes(item, depth - 1) for item in value.values())
    if depth and isinstance(value, list | tuple):
        return sum(array_bytes(item, depth - 1) for item in value)
    return 0


def is_aborted(fl_ctx: FLContext) -> bool:
    """Return whether the job is being aborted."""
    signal = fl_ctx.get_run_abort_signal()
    return signal is not None and bool(signal.triggered)


def _set_rounds(measurements: Measurements, total: Any) -> None:
    if total is not None:
        measurements.set("job_rounds", int(total))


def _record_logged(measurements: Measurements, event: Any, site: str) -> None:
    """Record a scalar that a script logged, or several under one tag; ignore other values."""
    point = AnalyticsData.from_dxo(from_shareable(event))
    scalars = scalars_of(point) if point is not None else None
    if scalars is None:
        return
    for tag, value in scalars.items():
        measurements.set("training_metric", value, site, tag)
    if point.step is not None:
        measurements.raise_to("training_steps_total", int(point.step) + 1, site)
