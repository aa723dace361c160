"""The guard on the server: it checks tasks, results and new models, and ends the job or warns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FedEventHeader, FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fl_app.guard import rules
from fl_app.guard.configuration import findings_on_server
from fl_app.guard.context import (
    current_round,
    global_model,
    is_aborted,
    job_meta,
    replace_by_refusal,
    sender_of,
)
from fl_app.guard.finding import (
    FINDING_EVENT,
    MARK,
    REASON_HEADER,
    WARNING_EVENT,
    WARNING_MARK,
    Finding,
)
from fl_app.guard.heartbeat import HEARTBEAT_LIFE, HEARTBEAT_TOPIC
from fl_app.guard.outcome import SERVER
from fl_app.guard.persisted import find_missing_model
from fl_app.guard.privacy import withhold_site_weights
from fl_app.guard.quorum import Quorum, find_absent_sites
from fl_app.guard.receivers import ReceiverMonitor, error_log_of
from fl_app.guard.results import ResultFailures, Results
from fl_app.guard.rule_table import Level, Levels, levels_in_meta, levels_of_environment
from fl_app.guard.site_errors import SiteErrors
from fl_app.guard.site_watch import SiteWatch
from fl_app.guard.task import dxo_in, round_of
from fl_app.guard.timeouts import Timeouts
from fl_app.guard.warnings import WARNINGS_FILE, Warnings
from fl_app.guard.workflows import Expectations, expectations_of
from fl_app.nvflare_internals.guard import starting_controller
from fl_app.nvflare_internals.task_requests import adapt_task_requests
from fl_app.nvflare_internals.workflow_state import runner_of
from fl_app.survival.resumable import Resumable
from fl_app.telemetry.analytics_events import FED_ANALYTICS


class ServerGuard:
    """The guard of one job on the server.

    Args:
        component: component that logs and ends the job.
        components: components of the job on the server, by id.
        timeouts: how long the guard waits for a site.
        levels: levels of rules that the component itself sets.
    """

    def __init__(
        self,
        component: FLComponent,
        components: Mapping[str, Any],
        timeouts: Timeouts,
        levels: Mapping[str, str] | None = None,
    ) -> None:
        self._component = component
        self._components = components
        self._own_levels = levels or {}
        self._levels = Levels()
        self._lock = threading.Lock()
        self._reason = ""
        self._results = Results(Expectations())
        self._controller: Any = None
        self._announced: Mapping[str, Any] | None = None
        self._stored: Mapping[str, Any] | None = None
        self._invalid_levels = ""
        self._warnings: Warnings | None = None
        self._site_errors = SiteErrors(component, self._report)
        self._sites = SiteWatch(timeouts, self._site_errors, self._report, component)
        self._receivers = ReceiverMonitor(SERVER, components)
        self._failures = ResultFailures()
        self._handlers: dict[str, Callable[[FLContext], None]] = {
            EventType.START_RUN: self._start,
            EventType.START_WORKFLOW: self._start_workflow,
            EventType.BEFORE_PROCESS_TASK_REQUEST: self._on_poll,
            EventType.BEFORE_TASK_DATA_FILTER: self._remember_task,
            EventType.AFTER_TASK_DATA_FILTER: self._check_task,
            EventType.BEFORE_TASK_RESULT_FILTER: self._start_result,
            EventType.BEFORE_PROCESS_SUBMISSION: self._check_result,
            AppEventType.AFTER_CONTRIBUTION_ACCEPT: self._check_acceptance,
            EventType.AFTER_PROCESS_SUBMISSION: lambda _: self._failures.done(),
            AppEventType.AFTER_AGGREGATION: self._check_aggregate,
            AppEventType.AFTER_SHAREABLE_TO_LEARNABLE: self._check_new_model,
            AppEventType.AFTER_LEARNABLE_PERSIST: self._on_stored,
            EventType.END_WORKFLOW: self._end_workflow,
            EventType.END_RUN: self._check_tracking,
            FINDING_EVENT: self._on_finding,
            FED_ANALYTICS: self._on_metric,
        }

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of the server's job process."""
        if failure := self._failures.next_failure():  # of the result before, for which no event was fired
            self._report(failure, fl_ctx)
        if handler := self._handlers.get(event_type):
            handler(fl_ctx)
        if failure := self._receivers.next_failure() or self._failures.next_failure():
            self._report(failure, fl_ctx)

    def close(self) -> None:
        """Stop the checks."""
        self._sites.close()
        self._receivers.close()
        self._failures.close()
        if self._warnings:
            self._warnings.write()

    def resumable_parts(self) -> dict[str, Resumable]:
        """Return what a second process of the job must know."""
        parts = {"results": self._results, "receivers": self._receivers, "warnings": self._warnings}
        return {name: part for name, part in parts.items() if part is not None}

    def _start(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        engine.register_aux_message_handler(topic=FINDING_EVENT, message_handle_func=self._on_sites_finding)
        engine.register_aux_message_handler(topic=HEARTBEAT_TOPIC, message_handle_func=self._on_heartbeat)
        results = Path(engine.get_workspace().get_result_root(fl_ctx.get_job_id()))
        self._warnings = Warnings(results / WARNINGS_FILE)
        adapt_task_requests(runner_of(engine), len(engine.get_clients()))
        self._read_levels(fl_ctx)
        self._site_errors.start(engine)
        self._sites.expect((client.name for client in engine.get_clients()), engine)
        if not fl_ctx.get_prop(FLContextKey.SIMULATE_MODE, False):
            self._sites.start(engine)

    def _read_levels(self, fl_ctx: FLContext) -> None:
        try:
            self._levels = Levels(levels_of_environment(), self._own_levels, levels_in_meta(job_meta(fl_ctx)))
        except ValueError as error:
            self._invalid_levels = str(error)

    def _check_meta(self, fl_ctx: FLContext) -> None:
        if what := self._invalid_levels:
            remedy = "Correct the levels of the guard in the job or in deployment.guard."
            self._report(Finding(what, remedy, SERVER, key="guard", rule="configuration"), fl_ctx)
        present = {client.name for client in fl_ctx.get_engine().get_clients()}
        if absent := find_absent_sites(Quorum.of(job_meta(fl_ctx)), present):
            self._report(absent, fl_ctx)

    def _start_workflow(self, fl_ctx: FLContext) -> None:
        self._check_meta(fl_ctx)
        self._controller, self._stored = starting_controller(fl_ctx), None
        expected = expectations_of(self._controller, self._components)
        self._results = Results(expected, self._results.count)
        for finding in findings_on_server(fl_ctx):
            self._report(finding, fl_ctx)
        if failure := self._receivers.not_started(error_log_of(fl_ctx)):
            self._report(failure, fl_ctx)

    def _on_poll(self, fl_ctx: FLContext) -> None:
        if site := sender_of(fl_ctx):
            self._sites.liveness.polled(site)

    def _on_metric(self, fl_ctx: FLContext) -> None:
        self._receivers.count_metric()
        data = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        site = data.get_header(FedEventHeader.ORIGIN) if isinstance(data, Shareable) else None
        self._sites.logged(str(site or sender_of(fl_ctx)))

    def _remember_task(self, fl_ctx: FLContext) -> None:
        site, task = sender_of(fl_ctx), fl_ctx.get_prop(FLContextKey.TASK_DATA)
        if site and isinstance(task, Shareable):
            self._sites.liveness.assigned(site)
            name = str(fl_ctx.get_prop(FLContextKey.TASK_NAME))
            self._report_all(self._results.sent(site, name, task), fl_ctx)

    def _check_task(self, fl_ctx: FLContext) -> None:
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        if not isinstance(task, Shareable):
            return
        withhold_site_weights(task)
        dxo = dxo_in(task)
        if finding := rules.find_large_integer(dxo.meta if dxo is not None else dict(task)):
            finding = replace(finding, what=f"its task has {finding.what}")
            self._end(finding.at(sender_of(fl_ctx), round_of(task)).line, fl_ctx)
            task.clear()
            task.update(make_reply(ReturnCode.ERROR))

    def _start_result(self, fl_ctx: FLContext) -> None:
        self._failures.processing(sender_of(fl_ctx), round_of(fl_ctx.get_prop(FLContextKey.TASK_RESULT)))

    def _check_result(self, fl_ctx: FLContext) -> None:
        site, result = sender_of(fl_ctx), fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        if not site or not isinstance(result, Shareable):
            return
        self._sites.liveness.returned(site)
        if reason := result.get_header(REASON_HEADER):
            self._end(str(reason), fl_ctx)
            replace_by_refusal(result, str(reason))
            return
        task = str(fl_ctx.get_prop(FLContextKey.TASK_NAME))
        for finding in self._results.check(site, task, result):
            if self._report(finding, fl_ctx):
                replace_by_refusal(result, finding.line)
                return

    def _check_acceptance(self, fl_ctx: FLContext) -> None:
        site, accepted = sender_of(fl_ctx), fl_ctx.get_prop(AppConstants.AGGREGATION_ACCEPTED)
        if site and isinstance(accepted, bool) and not self._failures.has_failure():
            result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
            if finding := self._results.accepted(site, result, accepted, current_round(fl_ctx)):
                self._report(finding, fl_ctx)

    def _check_aggregate(self, fl_ctx: FLContext) -> None:
        if is_aborted(fl_ctx):
            return  # ScatterAndGather aggregates what it has
        aggregate = fl_ctx.get_prop(AppConstants.AGGREGATION_RESULT)
        self._report_all(self._results.outcome.aggregated(), fl_ctx)
        metrics = getattr(aggregate, "metrics", None)
        self._report_all(self._results.best_model.aggregated(metrics, current_round(fl_ctx)), fl_ctx)

    def _check_new_model(self, fl_ctx: FLContext) -> None:
        if not is_aborted(fl_ctx) and (parameters := global_model(fl_ctx)) is not None:
            self._announced = parameters
            self._report_all(self._results.outcome.new_model(parameters), fl_ctx)

    def _on_stored(self, fl_ctx: FLContext) -> None:
        model = global_model(fl_ctx)
        is_known = model is not None and model is self._announced  # some workflows announce only the first
        self._results.has_stored, self._stored = True, dict(model) if model is not None and is_known else None

    def _end_workflow(self, fl_ctx: FLContext) -> None:
        """Check what a workflow leaves; an aborted one, or one that has an error, leaves nothing."""
        results = self._results
        if self._reason or is_aborted(fl_ctx) or not (results.expected.training_tasks and results.count):
            return
        for part in (self._site_errors.tolerated, results.outcome.ended, results.best_model.ended):
            self._report_all(part(), fl_ctx)
        if missing := find_missing_model(self._controller, results.has_stored, self._stored, fl_ctx):
            self._report(missing, fl_ctx)

    def _check_tracking(self, fl_ctx: FLContext) -> None:
        if not self._results.count or is_aborted(fl_ctx):
            return
        if missing := self._receivers.transient_failure() or self._receivers.nothing_logged():
            self._report(missing, fl_ctx)

    def _on_sites_finding(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        self._report(Finding.of(request), fl_ctx)
        return make_reply(ReturnCode.OK)

    def _on_heartbeat(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        if site := sender_of(fl_ctx):
            self._sites.received(site, str(request.get(HEARTBEAT_LIFE, "")), fl_ctx)
        return make_reply(ReturnCode.OK)

    def _on_finding(self, fl_ctx: FLContext) -> None:
        finding = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        if isinstance(finding, Finding):
            self._report(finding, fl_ctx)

    def _report_all(self, findings: Iterable[Finding], fl_ctx: FLContext) -> None:
        for finding in findings:
            self._report(finding, fl_ctx)

    def _report(self, finding: Finding, fl_ctx: FLContext) -> bool:
        """End the job or warn, as the level of the finding's rule says; return whether it ends the job."""
        level = self._levels.of(finding.rule)
        if level == Level.ERROR:
            self._end(finding.line, fl_ctx)
        elif level == Level.WARN and not self._reason:
            self._warn(finding, fl_ctx)
        return level == Level.ERROR

    def _warn(self, finding: Finding, fl_ctx: FLContext) -> None:
        with self._lock:
            is_new = self._warnings is None or self._warnings.add(finding)
        if is_new:
            self._component.log_warning(fl_ctx, f"{WARNING_MARK} {finding.line}", fire_event=False)
            fl_ctx.set_prop(FLContextKey.EVENT_DATA, finding, private=True, sticky=False)
            self._component.fire_event(WARNING_EVENT, fl_ctx)

    def _end(self, reason: str, fl_ctx: FLContext) -> None:
        """End the job; only the first reason counts."""
        with self._lock:
            if self._reason:
                return
            self._reason = reason
        self._component.log_error(fl_ctx, f"{MARK} {reason}", fire_event=False)
        self._component.system_panic(f"{MARK} {reason}", fl_ctx)
