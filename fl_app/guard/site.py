"""The guard at a site: it replaces an unusable result by the reason, and sends heartbeats."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fl_app.guard.finding import FINDING_EVENT, FINDING_HEADER, MARK, Finding, refusal
from fl_app.guard.heartbeat import HEARTBEAT_INTERVAL, HEARTBEAT_TOPIC
from fl_app.guard.receivers import ReceiverMonitor, error_log_of
from fl_app.guard.rules import find_large_integer, find_not_finite
from fl_app.guard.task import dxo_in, model_in, round_of

_SERVER = "server"
_REPORT_TIMEOUT = 5.0


class SiteGuard:
    """The guard of one job at one site."""

    def __init__(self, component: FLComponent, components: Mapping[str, Any]) -> None:
        self._component = component
        self._components = components
        self._name = ""
        self._receivers: ReceiverMonitor | None = None
        self._closed = threading.Event()

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of the site's job process."""
        if event_type == EventType.START_RUN:
            self._start(fl_ctx)
        elif event_type == EventType.AFTER_TASK_EXECUTION:
            self._check_numbers(fl_ctx)
        elif event_type == EventType.AFTER_TASK_RESULT_FILTER:
            self._check_integers(fl_ctx)
        elif event_type == FINDING_EVENT:
            self._report(fl_ctx.get_prop(FLContextKey.EVENT_DATA), fl_ctx)
        elif event_type == ANALYTIC_EVENT_TYPE and self._receivers:
            self._receivers.count_metric()
        if self._receivers and (failure := self._receivers.next_failure()):
            self._report(failure, fl_ctx)

    def close(self) -> None:
        """Stop the heartbeats."""
        self._closed.set()
        if self._receivers:
            self._receivers.close()

    def _start(self, fl_ctx: FLContext) -> None:
        self._name = fl_ctx.get_identity_name()
        self._receivers = ReceiverMonitor(self._name, self._components)
        if failure := self._receivers.not_started(error_log_of(fl_ctx)):
            self._report(failure, fl_ctx)
        if not fl_ctx.get_prop(FLContextKey.SIMULATE_MODE, False):
            threading.Thread(
                target=self._send_heartbeats, args=(fl_ctx.get_engine(),), name="guard-heartbeat", daemon=True
            ).start()

    def _check_numbers(self, fl_ctx: FLContext) -> None:
        """Check the numbers before a filter can encrypt or compress them; the server decides what follows."""
        result = _successful_result(fl_ctx)
        model = model_in(result)
        if result is None or model is None or not model.is_readable:
            return
        received = model_in(fl_ctx.get_prop(FLContextKey.TASK_DATA)) if model.is_complete else None
        if finding := find_not_finite(model.parameters, received.parameters if received else None):
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

    def _send_heartbeats(self, engine: Any) -> None:
        while True:
            try:
                with engine.new_context() as fl_ctx:
                    engine.send_aux_request(
                        targets=[_SERVER],
                        topic=HEARTBEAT_TOPIC,
                        request=Shareable(),
                        timeout=0.0,
                        fl_ctx=fl_ctx,
                        optional=True,
                    )
            except Exception as error:  # the next heartbeat may succeed
                self._component.logger.debug("heartbeat failed: %s", error)
            if self._closed.wait(HEARTBEAT_INTERVAL):
                return


def _successful_result(fl_ctx: FLContext) -> Shareable | None:
    result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
    if not isinstance(result, Shareable) or result.get_return_code() not in (None, "", ReturnCode.OK):
        return None
    return result
