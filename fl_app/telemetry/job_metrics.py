"""What a job's processes measure, and which of NVFlare's events tell it: rounds, sites and results on the
server, tasks on a site."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsData, AnalyticsDataType
from nvflare.apis.dxo import from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fl_app.telemetry.logged import FED_ANALYTICS, site_that_logged
from fl_app.telemetry.measurements import Measurements

Reactions = Mapping[str, Callable[[FLContext], None]]
_FATAL = "fatal"


class ServerMetrics:
    """Measures the server's part of a job.

    Args:
        measurements: where to.
    """

    def __init__(self, measurements: Measurements) -> None:
        self._measured = measurements
        self._sites: set[str] = set()
        self._took_part: set[str] = set()
        self._round: int | None = None
        self._begun = self._aggregation_begun = 0.0
        self._has_failed = False
        self._lock = threading.Lock()
        self.on: Reactions = {
            EventType.START_RUN: self._look_for_sites,
            AppEventType.ROUND_STARTED: self._round_started,
            EventType.AFTER_TASK_DATA_FILTER: self._task_sent,
            EventType.BEFORE_PROCESS_SUBMISSION: self._result_received,
            AppEventType.AFTER_CONTRIBUTION_ACCEPT: self._result_judged,
            AppEventType.BEFORE_AGGREGATION: self._aggregation_started,
            AppEventType.AFTER_AGGREGATION: self._aggregation_done,
            AppEventType.ROUND_DONE: self._round_done,
            EventType.END_WORKFLOW: self._round_done,
            EventType.FATAL_SYSTEM_ERROR: self._failed,
            FED_ANALYTICS: self._logged,
            ANALYTIC_EVENT_TYPE: self._logged,
        }

    def _look_for_sites(self, fl_ctx: FLContext) -> None:
        self._sites |= {client.name for client in fl_ctx.get_engine().get_clients()}

    def _round_started(self, fl_ctx: FLContext) -> None:
        number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
        if number is None or int(number) == self._round:
            return
        self._round_done(fl_ctx)
        with self._lock:
            self._round, self._begun, self._took_part = int(number), time.monotonic(), set()
        self._measured.set("job_round", self._round + 1)
        self._measured.set("round_started_timestamp_seconds", time.time())
        _say_rounds(self._measured, fl_ctx.get_prop(AppConstants.NUM_ROUNDS))

    def _round_done(self, fl_ctx: FLContext) -> None:
        """A round is over; one in which the job failed or was aborted is no finished round."""
        with self._lock:
            is_finished = self._round is not None and not self._has_failed
            begun, self._round = self._begun, None
        if not is_finished or _is_aborted(fl_ctx):
            return
        self._look_for_sites(fl_ctx)
        self._measured.observe("round_duration_seconds", time.monotonic() - begun)
        self._measured.set("round_sites", len(self._took_part))
        for site in self._sites | self._took_part:
            took_part = site in self._took_part
            self._measured.add("rounds_participated_total", took_part, site)
            self._measured.add("rounds_missed_total", not took_part, site)

    def _task_sent(self, fl_ctx: FLContext) -> None:
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        self._measured.add("model_sent_bytes_total", array_bytes(task))
        if isinstance(task, Shareable):
            _say_rounds(self._measured, task.get_header(AppConstants.NUM_ROUNDS))

    def _result_received(self, fl_ctx: FLContext) -> None:
        result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        code = result.get_return_code() if isinstance(result, Shareable) else None
        if code not in (None, ReturnCode.OK):
            self._measured.add("job_errors_total", 1, str(code).lower())
            return
        self._measured.add("model_received_bytes_total", array_bytes(result))
        if (site := peer(fl_ctx)) is not None:
            self._took_part.add(site)

    def _result_judged(self, fl_ctx: FLContext) -> None:
        if fl_ctx.get_prop(AppConstants.AGGREGATION_ACCEPTED) is False:
            self._took_part.discard(peer(fl_ctx) or "")

    def _aggregation_started(self, fl_ctx: FLContext) -> None:
        self._aggregation_begun = time.monotonic()

    def _aggregation_done(self, fl_ctx: FLContext) -> None:
        self._measured.observe("aggregation_duration_seconds", time.monotonic() - self._aggregation_begun)

    def _failed(self, fl_ctx: FLContext) -> None:
        self._has_failed = True
        self._measured.add("job_errors_total", 1, _FATAL)

    def _logged(self, fl_ctx: FLContext) -> None:
        event: Shareable = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        _take_logged(self._measured, event, site_that_logged(fl_ctx))


class SiteMetrics:
    """Measures a site's part of a job.

    Args:
        measurements: where to.
    """

    def __init__(self, measurements: Measurements) -> None:
        self._measured = measurements
        self._begun: float | None = None
        self.on: Reactions = {
            EventType.BEFORE_TASK_EXECUTION: self._task_started,
            EventType.AFTER_TASK_EXECUTION: self._task_done,
            EventType.BEFORE_SEND_TASK_RESULT: self._task_left,
            EventType.FATAL_SYSTEM_ERROR: self._failed,
            ANALYTIC_EVENT_TYPE: self._logged,
        }

    def _task_started(self, fl_ctx: FLContext) -> None:
        self._begun = time.monotonic()
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        self._measured.add("model_received_bytes_total", array_bytes(task))
        if isinstance(task, Shareable):
            number = task.get_header(AppConstants.CURRENT_ROUND)
            _say_rounds(self._measured, task.get_header(AppConstants.NUM_ROUNDS))
            if number is not None:
                self._measured.set("job_round", int(number) + 1)
                self._measured.set("round_started_timestamp_seconds", time.time())

    def _task_done(self, fl_ctx: FLContext) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            self._measured.observe("task_duration_seconds", time.monotonic() - begun)
        result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        code = result.get_return_code() if isinstance(result, Shareable) else None
        if code in (None, ReturnCode.OK):
            self._measured.add("model_sent_bytes_total", array_bytes(result))
        else:
            self._measured.add("job_errors_total", 1, str(code).lower())

    def _task_left(self, fl_ctx: FLContext) -> None:
        """NVFlare says nothing of a task that raised, but that its result, an error, is being sent."""
        if self._begun is not None:
            self._begun = None
            if not _is_aborted(fl_ctx):
                self._measured.add("job_errors_total", 1, ReturnCode.EXECUTION_EXCEPTION.lower())

    def _failed(self, fl_ctx: FLContext) -> None:
        self._measured.add("job_errors_total", 1, _FATAL)

    def _logged(self, fl_ctx: FLContext) -> None:
        _take_logged(self._measured, fl_ctx.get_prop(FLContextKey.EVENT_DATA), "")


def peer(fl_ctx: FLContext) -> str | None:
    """Who sent what is being processed."""
    context = fl_ctx.get_peer_context()
    return context.get_identity_name() if context is not None else None


def array_bytes(value: Any, depth: int = 8) -> int:
    """Bytes of the arrays, tensors and byte strings in a task or a result; they are not looked into."""
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


def _is_aborted(fl_ctx: FLContext) -> bool:
    signal = fl_ctx.get_run_abort_signal()
    return signal is not None and bool(signal.triggered)


def _say_rounds(measured: Measurements, total: Any) -> None:
    if total is not None:
        measured.set("job_rounds", int(total))


def _take_logged(measured: Measurements, event: Any, site: str) -> None:
    """A scalar that a script logged, or a dict of some under one tag; other things are no metrics."""
    point = AnalyticsData.from_dxo(from_shareable(event))
    if point is None:
        return
    if point.data_type in (AnalyticsDataType.SCALAR, AnalyticsDataType.METRIC):
        measured.set("training_metric", float(point.value), site, str(point.tag))
    elif point.data_type in (AnalyticsDataType.SCALARS, AnalyticsDataType.METRICS):
        for tag, value in point.value.items():
            named = f"{point.tag}/{tag}" if point.data_type is AnalyticsDataType.SCALARS else str(tag)
            measured.set("training_metric", float(value), site, named)
    else:
        return
    if point.step is not None:
        measured.raise_to("training_steps_total", int(point.step) + 1, site)
