"""The guard's part at a site: what must not be sent is replaced by its reason, and the site says that it
lives."""

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

from fl_app.guard.finding import FINDING_EVENT, MARK, Finding, refusal
from fl_app.guard.heartbeat import ALIVE_EVERY, ALIVE_TOPIC
from fl_app.guard.rules import Breach, not_finite, unsendable_integer
from fl_app.guard.task import dxo_in, model_in, round_of
from fl_app.guard.tracking import ReceiverWatch, error_log_of

CHECKED_HEADER = "flarefleet.guard.finite"
"""Of a result whose numbers the site has already looked at: the server need not do it for all sites."""
_SERVER = "server"
_SEND_WITHIN = 5.0


class SiteGuard:
    """One site's part in one job.

    Args:
        component: by which it logs.
        components: the job's components at this site, by id.
    """

    def __init__(self, component: FLComponent, components: Mapping[str, Any]) -> None:
        self._component = component
        self._components = components
        self._name = ""
        self._watch: ReceiverWatch | None = None
        self._ended = threading.Event()

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Look at an event of the site's job process."""
        if event_type == EventType.START_RUN:
            self._begin(fl_ctx)
        elif event_type == EventType.AFTER_TASK_EXECUTION:
            self._before_filters(fl_ctx)
        elif event_type == EventType.AFTER_TASK_RESULT_FILTER:
            self._before_sending(fl_ctx)
        elif event_type == FINDING_EVENT:
            self._report(fl_ctx.get_prop(FLContextKey.EVENT_DATA), fl_ctx)
        elif event_type == ANALYTIC_EVENT_TYPE and self._watch:
            self._watch.count_point()
        if self._watch and (heard := self._watch.take()):
            self._report(heard, fl_ctx)

    def close(self) -> None:
        """End with the job."""
        self._ended.set()
        if self._watch:
            self._watch.close()

    def _begin(self, fl_ctx: FLContext) -> None:
        self._name = fl_ctx.get_identity_name()
        self._watch = ReceiverWatch(self._name, self._components)
        if failed := self._watch.not_started(error_log_of(fl_ctx)):
            self._report(failed, fl_ctx)
        if not fl_ctx.get_prop(FLContextKey.SIMULATE_MODE, False):
            threading.Thread(
                target=self._say_alive, args=(fl_ctx.get_engine(),), name="guard-alive", daemon=True
            ).start()

    def _before_filters(self, fl_ctx: FLContext) -> None:
        """Look at the numbers, while they are still what the training returned."""
        result = _result(fl_ctx)
        if result is None:
            return
        model = model_in(result)
        if model is None or not model.readable:
            return
        if breach := not_finite(model.parameters):
            self._refuse(result, breach, fl_ctx)
        else:
            result.set_header(CHECKED_HEADER, True)

    def _before_sending(self, fl_ctx: FLContext) -> None:
        result = _result(fl_ctx)
        if result is None:
            return
        dxo = dxo_in(result)
        document = {"meta": dxo.meta, "data": dxo.data} if dxo is not None else dict(result)
        if breach := unsendable_integer(document):
            self._refuse(result, breach, fl_ctx)

    def _refuse(self, result: Shareable, breach: Breach, fl_ctx: FLContext) -> None:
        """Put the reason into the place of a result; NVFlare sends the same object afterwards."""
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        finding = Finding(
            breach.what, breach.remedy, site=self._name, round=round_of(result, task), key=breach.key
        )
        self._component.log_error(fl_ctx, f"{MARK} {finding.line}", fire_event=False)
        result.clear()
        result.update(refusal(finding.line))

    def _report(self, finding: Finding, fl_ctx: FLContext) -> None:
        """Tell the server, which ends the job."""
        self._component.log_error(fl_ctx, f"{MARK} {finding.line}", fire_event=False)
        message = Shareable(finding.document())
        fl_ctx.get_engine().send_aux_request(
            targets=[_SERVER], topic=FINDING_EVENT, request=message, timeout=_SEND_WITHIN, fl_ctx=fl_ctx
        )

    def _say_alive(self, engine: Any) -> None:
        while True:
            try:
                with engine.new_context() as fl_ctx:
                    engine.send_aux_request(
                        targets=[_SERVER],
                        topic=ALIVE_TOPIC,
                        request=Shareable(),
                        timeout=0.0,
                        fl_ctx=fl_ctx,
                        optional=True,
                    )
            except Exception as error:  # the next sign of life may get through
                self._component.logger.debug("no sign of life sent: %s", error)
            if self._ended.wait(ALIVE_EVERY):
                return


def _result(fl_ctx: FLContext) -> Shareable | None:
    """The result of a task that succeeded."""
    result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
    if not isinstance(result, Shareable) or result.get_return_code() not in (None, "", ReturnCode.OK):
        return None
    return result
