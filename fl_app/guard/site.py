"""The guard at a site: it replaces an unusable result by the reason, and sends errors and heartbeats."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fl_app.guard.arrays import count_not_finite
from fl_app.guard.error_capture import ErrorCapture
from fl_app.guard.finding import FINDING_EVENT, FINDING_HEADER, MARK, Finding, refusal
from fl_app.guard.heartbeat import HEARTBEAT_LIFE, HEARTBEAT_TOPIC
from fl_app.guard.receivers import ReceiverMonitor, error_log_of
from fl_app.guard.rules import find_large_integer, find_not_finite
from fl_app.guard.script_calls import check_in_training_processes
from fl_app.guard.site_error import SITE_ERROR_TOPIC, SiteError
from fl_app.guard.task import dxo_in, model_in, round_of
from fl_app.guard.unanswered import HUNG, HungExit, ScriptLoop, end_group
from fl_app.nvflare_internals.training_script import training_process
from fl_app.survival.limits import HEARTBEAT_SECONDS

CHECK_SECONDS = 1.0
"""Seconds between two checks of the training process."""
_SERVER = "server"
_REPORT_TIMEOUT = 5.0


class SiteGuard:
    """The guard of one job at one site."""

    def __init__(self, component: FLComponent, components: Mapping[str, Any]) -> None:
        self._component = component
        self._components = components
        self._name = ""
        self._receivers: ReceiverMonitor | None = None
        self._capture: ErrorCapture | None = None
        self._open_tasks: dict[int, OpenTask] = {}
        self._constants: dict[int, dict[str, Any]] = {}
        """Received parameters that hold NaN or infinity, by thread."""
        self._script_loop = ScriptLoop()
        self._hung_exit = HungExit()
        self._reported: tuple[OpenTask, str] | None = None
        self._closed = threading.Event()
        self._life = uuid.uuid4().hex
        self._handlers: dict[str, Callable[[FLContext], None]] = {
            EventType.ABOUT_TO_START_RUN: self._capture_errors,
            EventType.START_RUN: self._start,
            EventType.BEFORE_TASK_DATA_FILTER: self._task_started,
            EventType.BEFORE_TASK_EXECUTION: self._remember_constants,
            EventType.AFTER_TASK_EXECUTION: self._task_executed,
            EventType.AFTER_TASK_RESULT_FILTER: self._task_done,
            EventType.BEFORE_SEND_TASK_RESULT: self._sending,
            EventType.FATAL_SYSTEM_ERROR: self._panicked,
            FINDING_EVENT: lambda fl_ctx: self._report(fl_ctx.get_prop(FLContextKey.EVENT_DATA), fl_ctx),
            ANALYTIC_EVENT_TYPE: lambda _: self._receivers.count_metric() if self._receivers else None,
        }

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of the site's job process."""
        if handler := self._handlers.get(event_type):
            handler(fl_ctx)
        if self._receivers and (failure := self._receivers.next_failure()):
            self._report(failure, fl_ctx)

    def close(self) -> None:
        """Stop the heartbeats."""
        self._closed.set()
        if self._capture:
            self._capture.close()
        if self._receivers:
            self._receivers.close()

    def _capture_errors(self, fl_ctx: FLContext) -> None:
        """Listen before the executors start at START_RUN: a client script may fail at once."""
        if not fl_ctx.get_prop(FLContextKey.SIMULATE_MODE, False):
            self._capture = ErrorCapture(str(fl_ctx.get_identity_name()))
            check_in_training_processes(sys.path)

    def _start(self, fl_ctx: FLContext) -> None:
        self._name = fl_ctx.get_identity_name()
        self._receivers = ReceiverMonitor(self._name, self._components)
        if failure := self._receivers.not_started(error_log_of(fl_ctx)):
            self._report(failure, fl_ctx)
        if not fl_ctx.get_prop(FLContextKey.SIMULATE_MODE, False):
            threading.Thread(
                target=self._run_checks, args=(fl_ctx.get_engine(),), name="guard-checks", daemon=True
            ).start()

    def _task_started(self, fl_ctx: FLContext) -> None:
        name, task = str(fl_ctx.get_prop(FLContextKey.TASK_NAME)), fl_ctx.get_prop(FLContextKey.TASK_DATA)
        self._open_tasks[threading.get_ident()] = OpenTask(name, round_of(task))
        if self._capture:
            self._capture.task_started()
            self._script_loop.task_started()

    def _remember_constants(self, fl_ctx: FLContext) -> None:
        """Keep the few parameters that the site may return as they are, such as an attention mask.

        NVFlare removes the task from the context before AFTER_TASK_EXECUTION.
        """
        model = model_in(fl_ctx.get_prop(FLContextKey.TASK_DATA))
        parameters = model.parameters if model is not None and model.is_readable else {}
        self._constants[threading.get_ident()] = {
            str(name): value for name, value in parameters.items() if count_not_finite(value)
        }

    def _task_executed(self, fl_ctx: FLContext) -> None:
        if _successful_result(fl_ctx) is None:
            self._task_failed(fl_ctx)
        self._check_numbers(fl_ctx)

    def _task_done(self, fl_ctx: FLContext) -> None:
        self._check_integers(fl_ctx)
        self._close_task()

    def _sending(self, fl_ctx: FLContext) -> None:
        """Find a task that did not end with `_task_done`: its executor or a filter raised."""
        if threading.get_ident() in self._open_tasks:
            self._task_failed(fl_ctx)
            self._close_task()

    def _close_task(self) -> None:
        self._open_tasks.pop(threading.get_ident(), None)
        if self._capture:
            self._capture.task_ended()

    def _task_failed(self, fl_ctx: FLContext) -> None:
        task = self._open_tasks.pop(threading.get_ident(), None)
        if task is None or self._capture is None or _is_aborted(fl_ctx):
            return
        if error := self._capture.error_of_task():
            self._send_error(replace(error, task=task.name, round=task.round), fl_ctx)

    def _panicked(self, fl_ctx: FLContext) -> None:
        """A component ended this site's part of the job; the server learns it only after a minute."""
        reason = str(fl_ctx.get_prop(FLContextKey.EVENT_DATA) or "")
        if self._capture is None or _is_aborted(fl_ctx):
            return
        error = self._capture.explain("", reason) or SiteError("a component ended its part of the job")
        self._send_error(replace(error, ends_site=True), fl_ctx)

    def _check_numbers(self, fl_ctx: FLContext) -> None:
        """Check the numbers before a filter can encrypt or compress them; the server decides what follows."""
        result = _successful_result(fl_ctx)
        model = model_in(result)
        if result is None or model is None or not model.is_readable:
            return
        constants = self._constants.get(threading.get_ident()) if model.is_complete else None
        if finding := find_not_finite(model.parameters, constants):
            result.set_header(FINDING_HEADER, finding.document())

    def _check_integers(self, fl_ctx: FLContext) -> None:
        result = _successful_result(fl_ctx)
        if result is None:
            return
        dxo = dxo_in(result)
        document = {"meta": dxo.meta, "data": dxo.data} if dxo is not None else dict(result)
        if finding := find_large_integer(document):
            self._refuse(result, finding, fl_ctx)

    def _refuse(self, result: Shareable, finding: Finding, fl_ctx: FLContext) -> None:
        """Replace a result by the reason in place: NVFlare sends the same object afterwards."""
        finding = finding.at(self._name, round_of(result, fl_ctx.get_prop(FLContextKey.TASK_DATA)))
        self._component.log_error(fl_ctx, f"{MARK} {finding.line}", fire_event=False)
        result.clear()
        result.update(refusal(finding.line))

    def _report(self, finding: Finding, fl_ctx: FLContext) -> None:
        """Send a finding to the server, which ends the job."""
        self._component.log_error(fl_ctx, f"{MARK} {finding.line}", fire_event=False)
        message = Shareable(finding.document())
        fl_ctx.get_engine().send_aux_request(
            targets=[_SERVER], topic=FINDING_EVENT, request=message, timeout=_REPORT_TIMEOUT, fl_ctx=fl_ctx
        )

    def _send_error(self, error: SiteError, fl_ctx: FLContext) -> None:
        """Send the cause of a failure to the server; NVFlare's workflow decides what becomes of the job."""
        fl_ctx.get_engine().send_aux_request(
            targets=[_SERVER],
            topic=SITE_ERROR_TOPIC,
            request=Shareable(error.document()),
            timeout=_REPORT_TIMEOUT,
            fl_ctx=fl_ctx,
        )

    def _run_checks(self, engine: Any) -> None:
        """Send a heartbeat every HEARTBEAT_SECONDS seconds, and check the training process every second."""
        last_heartbeat = -HEARTBEAT_SECONDS
        while not self._closed.is_set():
            with engine.new_context() as fl_ctx:
                if time.monotonic() - last_heartbeat >= HEARTBEAT_SECONDS:
                    last_heartbeat = time.monotonic()
                    self._attempt(self._send_heartbeat, fl_ctx)
                self._attempt(self._check_training, fl_ctx)
            self._closed.wait(CHECK_SECONDS)

    def _attempt(self, step: Callable[[FLContext], None], fl_ctx: FLContext) -> None:
        try:
            step(fl_ctx)
        except Exception as error:  # the next attempt may succeed
            self._component.logger.debug("%s failed: %s", step.__name__, error)

    def _send_heartbeat(self, fl_ctx: FLContext) -> None:
        fl_ctx.get_engine().send_aux_request(
            targets=[_SERVER],
            topic=HEARTBEAT_TOPIC,
            request=Shareable({HEARTBEAT_LIFE: self._life}),
            timeout=0.0,
            fl_ctx=fl_ctx,
            optional=True,
        )

    def _check_training(self, fl_ctx: FLContext) -> None:
        """Report a training that will not send its result, before NVFlare notices or without."""
        capture = self._capture
        if capture is None or _is_aborted(fl_ctx):
            return
        for task in list(self._open_tasks.values()):
            error = None
            if self._script_loop.is_endless():
                error = self._script_loop.error()
            elif process := self._hung_exit.hung(training_process(fl_ctx, task.name)):
                error = HUNG
                if capture.has_printed_exception():
                    error = capture.process_error(None)
                    end_group(process.group)
            if error is not None and self._reported != (task, error.what):
                self._reported = (task, error.what)
                self._send_error(replace(error, task=task.name, round=task.round), fl_ctx)


@dataclass(frozen=True)
class OpenTask:
    """A task that the site works on."""

    name: str
    round: int | None


def _is_aborted(fl_ctx: FLContext) -> bool:
    signal = fl_ctx.get_run_abort_signal()
    return signal is not None and bool(signal.triggered)


def _successful_result(fl_ctx: FLContext) -> Shareable | None:
    result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
    if not isinstance(result, Shareable) or result.get_return_code() not in (None, "", ReturnCode.OK):
        return None
    return result
