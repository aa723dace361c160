"""The guard's part on the server: it sees what is sent and what comes back, and ends the job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nvflare.apis.dxo import DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FedEventHeader, FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply

from fl_app.guard import rules
from fl_app.guard.evaluation import failed_evaluation
from fl_app.guard.finding import FINDING_EVENT, MARK, REASON_HEADER, Finding, refusal
from fl_app.guard.heartbeat import ALIVE_TOPIC, CHECK_EVERY, SignsOfLife, waiting_in_vain
from fl_app.guard.privacy import withhold_site_weights
from fl_app.guard.rules import Breach
from fl_app.guard.running import current_controller, settings_of
from fl_app.guard.site import CHECKED_HEADER
from fl_app.guard.stalled import stuck
from fl_app.guard.task import Model, Sent, dxo_in, model_in, round_of
from fl_app.guard.tracking import ReceiverWatch, error_log_of
from fl_app.guard.workflows import Promise, promise_of
from fl_app.telemetry.analytics_events import FED_ANALYTICS

_SERVER = "server"


@dataclass(frozen=True)
class Limits:
    """How long the guard waits for a site that holds the job up; seconds."""

    silence: float
    """Of which nothing is heard."""
    task: float
    """That lives, and neither returns nor logs anything; 0 for ever."""


class ServerGuard:
    """The server's part in one job.

    Args:
        component: by which it logs and ends the job.
        components: the job's components on the server, by id.
        limits: how long it waits for a site.
    """

    def __init__(self, component: FLComponent, components: Mapping[str, Any], limits: Limits) -> None:
        self._component = component
        self._components = components
        self._limits = limits
        self._lock = threading.Lock()
        self._reason = ""
        self._closed = threading.Event()
        self._promise = Promise()
        self._sent: dict[str, Sent] = {}
        self._answers = 0
        self._life = SignsOfLife()
        self._logged: dict[str, float] = {}
        self._watch = ReceiverWatch(_SERVER, components)
        self._on: dict[str, Callable[[FLContext], None]] = {
            EventType.START_RUN: self._begin,
            EventType.START_WORKFLOW: self._workflow_begins,
            EventType.BEFORE_PROCESS_TASK_REQUEST: self._site_asks,
            EventType.BEFORE_TASK_DATA_FILTER: self._remember_task,
            EventType.AFTER_TASK_DATA_FILTER: self._before_sending,
            EventType.BEFORE_PROCESS_SUBMISSION: self._judge_result,
            EventType.END_RUN: self._run_ends,
            FINDING_EVENT: self._reported,
            FED_ANALYTICS: self._site_logs,
        }

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Look at an event of the server's job process."""
        react = self._on.get(event_type)
        if react is not None:
            react(fl_ctx)
        if heard := self._watch.take():
            self._end(heard, fl_ctx)

    def close(self) -> None:
        """End with the job."""
        self._closed.set()
        self._watch.close()

    def _begin(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        engine.register_aux_message_handler(topic=FINDING_EVENT, message_handle_func=self._site_reports)
        engine.register_aux_message_handler(topic=ALIVE_TOPIC, message_handle_func=self._site_lives)
        self._life.expect(client.name for client in engine.get_clients())
        if not fl_ctx.get_prop(FLContextKey.SIMULATE_MODE, False):
            threading.Thread(
                target=self._watch_sites, args=(engine,), name="guard-silence", daemon=True
            ).start()

    def _workflow_begins(self, fl_ctx: FLContext) -> None:
        self._promise = promise_of(current_controller(fl_ctx, starting=True), self._components)
        for finding in settings_of(fl_ctx):
            self._end(finding, fl_ctx)
        if failed := self._watch.not_started(error_log_of(fl_ctx)):
            self._end(failed, fl_ctx)

    def _site_asks(self, fl_ctx: FLContext) -> None:
        if site := _peer(fl_ctx):
            self._life.seen(site)

    def _site_logs(self, fl_ctx: FLContext) -> None:
        self._watch.count_point()
        data = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        site = data.get_header(FedEventHeader.ORIGIN) if isinstance(data, Shareable) else None
        self._logged[str(site or _peer(fl_ctx))] = time.time()

    def _remember_task(self, fl_ctx: FLContext) -> None:
        site, task = _peer(fl_ctx), fl_ctx.get_prop(FLContextKey.TASK_DATA)
        if site and isinstance(task, Shareable):
            self._sent[site] = Sent.of(str(fl_ctx.get_prop(FLContextKey.TASK_NAME)), task)
            self._life.assigned(site)

    def _before_sending(self, fl_ctx: FLContext) -> None:
        task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
        if not isinstance(task, Shareable):
            return
        withhold_site_weights(task)
        dxo = dxo_in(task)
        if breach := rules.unsendable_integer(dxo.meta if dxo is not None else dict(task)):
            site = _peer(fl_ctx)
            self._end(_finding(breach, site, round_of(task), f"to be sent to {site}"), fl_ctx)
            task.clear()
            task.update(make_reply(ReturnCode.ERROR))

    def _judge_result(self, fl_ctx: FLContext) -> None:
        site, result = _peer(fl_ctx), fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        if not site or not isinstance(result, Shareable):
            return
        self._life.answered(site)
        self._answers += 1
        task = str(fl_ctx.get_prop(FLContextKey.TASK_NAME))
        sent = self._sent.pop(site, None)
        if finding := self._finding_in(result, site, task, sent if sent and sent.name == task else None):
            self._end(finding, fl_ctx)
            _spoil(result, finding)

    def _finding_in(self, result: Shareable, site: str, task: str, sent: Sent | None) -> Finding | str | None:
        if reason := result.get_header(REASON_HEADER):
            return str(reason)
        if task in self._promise.evaluates:
            return failed_evaluation(result, site, task)
        if result.get_return_code() not in (None, "", ReturnCode.OK):
            return None  # the workflow's own affair: it says how many sites may fail
        breach = self._breach_in(result, task, sent)
        number = round_of(result) if round_of(result) is not None else sent.round if sent else None
        return None if breach is None else _finding(breach, site, number)

    def _breach_in(self, result: Shareable, task: str, sent: Sent | None) -> Breach | None:
        promise, dxo, model = self._promise, dxo_in(result), model_in(result)
        only_metrics = dxo is not None and dxo.data_kind == DataKind.METRICS
        if task in promise.wants_parameters and (
            only_metrics or (model is not None and not model.parameters)
        ):
            return rules.EMPTY
        if model is None or not model.readable:
            return None
        known = sent.parameters if sent and sent.parameters and promise.keeps_shape else None
        if known:
            if breach := rules.too_large(dict(result), known, sent.size if sent else 0):
                return breach
            returned = rules.describe(model.parameters)
            if breach := rules.differing(known, returned, model.whole, promise.excluded):
                return breach
        if not result.get_header(CHECKED_HEADER) and (breach := rules.not_finite(model.parameters)):
            return breach
        return self._wrong_key_metric(model) if task in promise.wants_parameters else None

    def _wrong_key_metric(self, model: Model) -> Breach | None:
        wanted = self._promise.key_metric
        if (
            not wanted
            or not isinstance(model.metrics, Mapping)
            or not model.metrics
            or wanted in model.metrics
        ):
            return None
        return Breach(
            f"is not among the metrics it returned ({', '.join(sorted(map(str, model.metrics)))}), and no "
            "best model would be kept",
            "Give the recipe one of these as key_metric, or return it in FLModel(metrics=...).",
            f"key metric {wanted}",
        )

    def _site_reports(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        """A site's guard found something outside of a result."""
        document = {name: request.get(name) for name in Finding.__dataclass_fields__}
        self._end(Finding(**document), fl_ctx)
        return make_reply(ReturnCode.OK)

    def _site_lives(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        if site := _peer(fl_ctx):
            self._life.signalled(site)
        return make_reply(ReturnCode.OK)

    def _reported(self, fl_ctx: FLContext) -> None:
        finding = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        if isinstance(finding, Finding):
            self._end(finding, fl_ctx)

    def _watch_sites(self, engine: Any) -> None:
        while not self._closed.wait(CHECK_EVERY):
            with engine.new_context() as fl_ctx:
                try:
                    if found := self._held_up(current_controller(fl_ctx)):
                        self._end(found, fl_ctx)
                        return
                except Exception as error:
                    self._component.log_warning(
                        fl_ctx, f"the guard cannot see who holds the job up: {error}", fire_event=False
                    )
                    return

    def _held_up(self, controller: Any) -> Finding | None:
        """Why the workflow waits without end, if it does."""
        silent = self._life.silent(self._limits.silence)
        return waiting_in_vain(controller, silent) or stuck(
            controller, dict(self._logged), self._limits.task, time.time()
        )

    def _run_ends(self, fl_ctx: FLContext) -> None:
        signal = fl_ctx.get_prop(ReservedKey.RUN_ABORT_SIGNAL)
        was_aborted = signal is not None and signal.triggered
        if not self._answers or was_aborted:
            return
        if missing := self._watch.lost() or self._watch.nothing_logged():
            self._end(missing, fl_ctx)

    def _end(self, finding: Finding | str, fl_ctx: FLContext) -> None:
        """End the job; the first reason is the reason."""
        reason = finding if isinstance(finding, str) else finding.line
        with self._lock:
            if self._reason:
                return
            self._reason = reason
        self._component.log_error(fl_ctx, f"{MARK} {reason}", fire_event=False)
        self._component.system_panic(f"{MARK} {reason}", fl_ctx)


def _finding(breach: Breach, site: str, number: int | None, prefix: str = "") -> Finding:
    what = f"{prefix}: {breach.what}" if prefix else breach.what
    return Finding(what, breach.remedy, site=site, round=number, key=breach.key)


def _peer(fl_ctx: FLContext) -> str:
    """Who sent what is being processed."""
    peer = fl_ctx.get_peer_context()
    return str(peer.get_identity_name()) if peer is not None else ""


def _spoil(result: Shareable, finding: Finding | str) -> None:
    """Keep an unusable result out of the model: the workflow gets an error in its place.

    What NVFlare needs to find the task again stays.
    """
    headers = dict(result.get(ReservedHeaderKey.HEADERS) or {})
    reply = refusal(finding if isinstance(finding, str) else finding.line)
    result.clear()
    result.update(reply)
    result[ReservedHeaderKey.HEADERS] = {**headers, **reply[ReservedHeaderKey.HEADERS]}
