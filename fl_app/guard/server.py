"""The guard on the server: it checks every task and every result, and ends the job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nvflare.apis.dxo import DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FedEventHeader, FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply

from fl_app.guard import rules
from fl_app.guard.configuration import findings_on_server
from fl_app.guard.evaluation import failed_evaluation
from fl_app.guard.finding import FINDING_EVENT, MARK, REASON_HEADER, Finding, refusal
from fl_app.guard.heartbeat import CHECK_INTERVAL, HEARTBEAT_TOPIC, Heartbeats, find_lost_site
from fl_app.guard.privacy import withhold_site_weights
from fl_app.guard.receivers import ReceiverMonitor, error_log_of
from fl_app.guard.site import CHECKED_HEADER
from fl_app.guard.stalled import find_stalled_site
from fl_app.guard.task import Model, SentTask, dxo_in, model_in, round_of
from fl_app.guard.timeouts import Timeouts
from fl_app.guard.workflows import Expectations, expectations_of
from fl_app.nvflare_internals.guard import current_controller, starting_controller
from fl_app.telemetry.analytics_events import FED_ANALYTICS


class ServerGuard:
    """The guard of one job on the server.

    Args:
        component: component that logs and ends the job.
        components: components of the job on the server, by id.
        timeouts: how long the guard waits for a site.
    """

    def __init__(self, component: FLComponent, components: Mapping[str, Any], timeouts: Timeouts) -> None:
        self._component = component
        self._components = components
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._reason = ""
        self._closed = threading.Event()
        self._expectations = Expectations()
        self._sent: dict[str, SentTask] = {}
        self._results = 0
        self._heartbeats = Heartbeats()
        self._last_metric: dict[str, float] = {}
        self._receivers = ReceiverMonitor("server", components)
        self._handlers: dict[str, Callable[[FLContext], None]] = {
            EventType.START_RUN: self._start,
            EventType.START_WORKFLOW: self._start_workflow,
            EventType.BEFORE_PROCESS_TASK_REQUEST: self._on_poll,
            EventType.BEFORE_TASK_DATA_FILTER: self._remember_task,
            EventType.AFTER_TASK_DATA_FILTER: self._check_task,
            EventType.BEFORE_PROCESS_SUBMISSION: self._check_result,
            EventType.END_RUN: self._check_tracking,
            FINDING_EVENT: self._on_finding,
            FED_ANALYTICS: self._on_metric,
        }

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of the server's job process."""
        if handler := self._handlers.get(event_type):
            handler(fl_ctx)
        if failure := self._receivers.next_failure():
            self._end(failure, fl_ctx)

    def close(self) -> None:
        """Stop the checks."""
        self._closed.set()
        self._receivers.close()

    def _start(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        engine.register_aux_message_handler(topic=FINDING_EVENT, message_handle_func=self._on_sites_finding)
        engine.register_aux_message_handler(topic=HEARTBEAT_TOPIC, message_handle_func=self._on_heartbeat)
        self._heartbeats.expect(client.name for client in engine.get_clients())
        if not fl_ctx.get_prop(FLContextKey.SIMULATE_MODE, False):
            threading.Thread(
                target=self._watch_sites, args=(engine,), name="guard-timeouts", daemon=True
            ).start()

    def _start_workflow(self, fl_ctx: FLContext) -> None:
        self._expectations = expectations_of(starting_controller(fl_ctx), self._components)
        for finding in findings_on_server(fl_ctx):
            self._end(finding, fl_ctx)
        if failure := self._receivers.not_started(error_log_of(fl_ctx)):
            self._end(failure, fl_ctx)

    def _on_poll(self, fl_ctx: FLContext) -> None:
        if site := _sender(fl_ctx):
            self._heartbeats.polled(site)

    def _on_metric(self, fl_ctx: FLContext) -> None:
        self._receivers.count_metric()
        data = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        site = data.get_header(FedEventHeader.ORIGIN) if isinstance(data, Shareable) else None
        self._last_metric[str(site or _sender(fl_ctx))] = time.time()

    def _remember_task(self, fl_ctx: FLContext) -> None:
        site, task = _sender(fl_ctx), fl_ctx.get_prop(FLContextKey.TASK_DATA)
        if site and isinstance(task, Shareable):
            self._sent[site] = SentTask.of(str(fl_ctx.get_prop(FLContextKey.TASK_NAME)), task)
            self._heartbeats.assigned(site)

    def _check_task(self, fl_ctx: FLContext) -> None:
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        if not isinstance(task, Shareable):
            return
        withhold_site_weights(task)
        dxo = dxo_in(task)
        if finding := rules.find_large_integer(dxo.meta if dxo is not None else dict(task)):
            finding = replace(finding, what=f"its task has {finding.what}")
            self._end(finding.at(_sender(fl_ctx), round_of(task)), fl_ctx)
            task.clear()
            task.update(make_reply(ReturnCode.ERROR))

    def _check_result(self, fl_ctx: FLContext) -> None:
        site, result = _sender(fl_ctx), fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        if not site or not isinstance(result, Shareable):
            return
        self._heartbeats.returned(site)
        self._results += 1
        task = str(fl_ctx.get_prop(FLContextKey.TASK_NAME))
        sent = self._sent.pop(site, None)
        reason = self._reason_to_end(result, site, task, sent if sent and sent.name == task else None)
        if reason:
            self._end(reason, fl_ctx)
            _replace(result, reason)

    def _reason_to_end(self, result: Shareable, site: str, task: str, sent: SentTask | None) -> str:
        if reason := result.get_header(REASON_HEADER):
            return str(reason)
        if task in self._expectations.evaluation_tasks:
            failed = failed_evaluation(result, site, task)
            return failed.line if failed else ""
        if result.get_return_code() not in (None, "", ReturnCode.OK):
            return ""  # the workflow itself decides how many sites may fail
        finding = self._finding_in(result, task, sent)
        number = round_of(result) if round_of(result) is not None else sent.round if sent else None
        return finding.at(site, number).line if finding else ""

    def _finding_in(self, result: Shareable, task: str, sent: SentTask | None) -> Finding | None:
        expected, dxo, model = self._expectations, dxo_in(result), model_in(result)
        is_training = task in expected.training_tasks
        only_metrics = dxo is not None and dxo.data_kind == DataKind.METRICS
        if is_training and (only_metrics or (model is not None and not model.parameters)):
            return rules.NO_PARAMETERS
        if model is None or not model.is_readable:
            return None
        if sent and sent.parameters and expected.keeps_shape:
            returned = rules.describe(model.parameters)
            finding = rules.find_oversize(dict(result), sent.size) or rules.find_mismatch(
                sent.parameters, returned, model.is_complete, expected.excluded
            )
            if finding:
                return finding
        if not result.get_header(CHECKED_HEADER) and (finding := rules.find_not_finite(model.parameters)):
            return finding
        return self._missing_key_metric(model) if is_training else None

    def _missing_key_metric(self, model: Model) -> Finding | None:
        wanted, metrics = self._expectations.key_metric, model.metrics
        if not wanted or not isinstance(metrics, Mapping) or not metrics or wanted in metrics:
            return None
        names = ", ".join(sorted(map(str, metrics)))
        return Finding(
            f"is not among the returned metrics ({names}): no best model would be kept",
            "Set key_metric of the recipe to one of these, or return it in FLModel(metrics=...).",
            key=f"key metric {wanted}",
        )

    def _on_sites_finding(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        fields = {name: request.get(name) for name in Finding.__dataclass_fields__}
        self._end(Finding(**fields), fl_ctx)
        return make_reply(ReturnCode.OK)

    def _on_heartbeat(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        if site := _sender(fl_ctx):
            self._heartbeats.received(site)
        return make_reply(ReturnCode.OK)

    def _on_finding(self, fl_ctx: FLContext) -> None:
        finding = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        if isinstance(finding, Finding):
            self._end(finding, fl_ctx)

    def _watch_sites(self, engine: Any) -> None:
        while not self._closed.wait(CHECK_INTERVAL):
            with engine.new_context() as fl_ctx:
                try:
                    if finding := self._find_blocking_site(current_controller(fl_ctx)):
                        self._end(finding, fl_ctx)
                        return
                except Exception as error:
                    self._component.log_warning(
                        fl_ctx, f"the guard stopped its checks for lost sites: {error}", fire_event=False
                    )
                    return

    def _find_blocking_site(self, controller: Any) -> Finding | None:
        overdue = self._heartbeats.overdue(self._timeouts.heartbeat)
        return find_lost_site(controller, overdue) or find_stalled_site(
            controller, dict(self._last_metric), self._timeouts.task, time.time()
        )

    def _check_tracking(self, fl_ctx: FLContext) -> None:
        signal = fl_ctx.get_prop(ReservedKey.RUN_ABORT_SIGNAL)
        was_aborted = signal is not None and signal.triggered
        if not self._results or was_aborted:
            return
        if missing := self._receivers.transient_failure() or self._receivers.nothing_logged():
            self._end(missing, fl_ctx)

    def _end(self, finding: Finding | str, fl_ctx: FLContext) -> None:
        """End the job; only the first reason counts."""
        reason = finding if isinstance(finding, str) else finding.line
        with self._lock:
            if self._reason:
                return
            self._reason = reason
        self._component.log_error(fl_ctx, f"{MARK} {reason}", fire_event=False)
        self._component.system_panic(f"{MARK} {reason}", fl_ctx)


def _sender(fl_ctx: FLContext) -> str:
    """Return the site that sent the current message."""
    peer = fl_ctx.get_peer_context()
    return str(peer.get_identity_name()) if peer is not None else ""


def _replace(result: Shareable, reason: str) -> None:
    """Replace an unusable result by an error, and keep the headers by which NVFlare finds the task."""
    headers = dict(result.get(ReservedHeaderKey.HEADERS) or {})
    reply = refusal(reason)
    result.clear()
    result.update(reply)
    result[ReservedHeaderKey.HEADERS] = {**headers, **reply[ReservedHeaderKey.HEADERS]}
