"""NVFlare's controllers, the guard of the server and those of the sites in one process.

The controllers, aggregators, selectors and persistors are NVFlare's own. Only the messages between server and
sites are function calls, in the order and with the events of NVFlare's server and client runners.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.event_type import EventType
from nvflare.apis.filter import Filter
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.utils.decomposers import flare_decomposers
from nvflare.apis.workspace import Workspace
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.decomposers import common_decomposers
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fl_app.guard.component import JobGuard
from fl_app.guard.finding import WARNING_EVENT
from fl_app.guard.server import ServerGuard
from fl_app.guard.site import SiteGuard
from fl_app.guard.timeouts import Timeouts
from fl_app.guard.workflows import expectations_of

JOB = "job-1"
Script = Callable[[FLModel], Any]
"""The script of a site: it gets the model, and returns an FLModel or a Shareable."""


@dataclass
class Judgement:
    """What the guard did with a job."""

    reasons: list[str] = field(default_factory=list)
    """Why the job ended, without the mark."""
    warnings: list[str] = field(default_factory=list)
    panics: list[str] = field(default_factory=list)
    """Why NVFlare itself ended the job."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """The last global model."""


class _Component(JobGuard):
    """A guard that records what it reports."""

    def __init__(self, judgement: Judgement, abort: Signal) -> None:
        super().__init__()
        self._judgement, self._abort = judgement, abort

    def system_panic(self, reason: str, fl_ctx: FLContext) -> None:
        self._judgement.reasons.append(reason.removeprefix("[guard] "))
        self._abort.trigger(True)


class _Engine(ServerEngineSpec):
    def __init__(self, folder: Path, sites: Sequence[str], components: Mapping[str, Any]) -> None:
        for name in ("startup", "local", f"{JOB}/app_server/config"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.workspace = Workspace(str(folder), "server")
        self.clients = [Client(site, f"token of {site}") for site in sites]
        self.components = dict(components)
        self.guard: Any = None
        self.judgement = Judgement()
        self.abort = Signal()
        self.run_manager = None

    def get_clients(self) -> list[Client]:
        return self.clients

    def get_workspace(self) -> Workspace:
        return self.workspace

    def get_component(self, component_id: str) -> Any:
        return self.components.get(component_id)

    def get_all_components(self) -> dict[str, Any]:
        return self.components

    def get_cell(self) -> None:
        return None

    def register_aux_message_handler(self, topic: str, message_handle_func: Any) -> None:
        pass

    def persist_components(self, fl_ctx: FLContext, completed: bool) -> None:
        pass

    @contextlib.contextmanager
    def new_context(self) -> Iterator[FLContext]:
        yield self.context()

    def context(self, site: str = "") -> FLContext:
        context = FLContext()
        for key, value in (
            (ReservedKey.ENGINE, self),
            (ReservedKey.RUN_NUM, JOB),
            (ReservedKey.WORKSPACE_OBJECT, self.workspace),
            (ReservedKey.RUN_ABORT_SIGNAL, self.abort),
            (FLContextKey.SIMULATE_MODE, True),
            (ReservedKey.IDENTITY_NAME, "server"),
        ):
            context.set_prop(key, value, private=True, sticky=False)
        if site:
            peer = FLContext()
            peer.set_prop(ReservedKey.IDENTITY_NAME, site, private=False, sticky=False)
            context.set_peer_context(peer)
        return context

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.FATAL_SYSTEM_ERROR:
            self.judgement.panics.append(str(fl_ctx.get_prop(FLContextKey.EVENT_DATA)))
            self.abort.trigger(True)
        if event_type == WARNING_EVENT:
            self.judgement.warnings.append(fl_ctx.get_prop(FLContextKey.EVENT_DATA).line)
        for component in [*self.components.values()]:
            if isinstance(component, FLComponent):
                component.handle_event(event_type, fl_ctx)
        if self.guard is not None:
            self.guard.handle(event_type, fl_ctx)


_Engine.__abstractmethods__ = frozenset()


class _Communicator:
    """Runs each task at once, site by site."""

    def __init__(self, engine: _Engine, clients: Mapping[str, Script], filters: Mapping[str, list[Filter]]):
        self._engine, self._clients, self._filters = engine, clients, filters
        component = _Component(Judgement(), Signal())
        self._guards = {site: SiteGuard(component, {}) for site in clients}
        for site, guard in self._guards.items():
            guard._name = site

    def get_num_standing_tasks(self) -> int:
        return 0

    def broadcast(self, task: Task, fl_ctx: FLContext, targets: Any = None, *_: Any, **__: Any) -> None:
        for name in targets or self._clients:
            if not self._engine.abort.triggered:
                self._run(task, name if isinstance(name, str) else name.name, fl_ctx)

    def broadcast_and_wait(
        self, task: Task, fl_ctx: FLContext, targets: Any = None, *_: Any, **__: Any
    ) -> None:
        self.broadcast(task, fl_ctx, targets)

    def _run(self, task: Task, site: str, controllers: FLContext) -> None:
        engine, guard = self._engine, self._guards[site]
        client_task = ClientTask(Client(site, f"token of {site}"), task)
        context = engine.context(site)
        for key in (AppConstants.CURRENT_ROUND, AppConstants.NUM_ROUNDS, AppConstants.GLOBAL_MODEL):
            if (detail := controllers.get_prop_detail(key)) is not None:
                context.set_prop(key, detail["value"], private=detail["private"], sticky=detail["sticky"])
        context.set_prop(FLContextKey.TASK_NAME, task.name, private=True, sticky=False)
        if task.before_task_sent_cb:
            task.before_task_sent_cb(client_task, context)
        sent = copy.deepcopy(task.data)  # sites have arrays of their own
        context.set_prop(FLContextKey.TASK_DATA, sent, private=True, sticky=False)
        engine.fire_event(EventType.BEFORE_TASK_DATA_FILTER, context)
        engine.fire_event(EventType.AFTER_TASK_DATA_FILTER, context)
        result = self._at_site(guard, site, sent, context)
        if result is None:
            return
        context.set_prop(FLContextKey.TASK_RESULT, result, private=True, sticky=False)
        result.set_peer_props({ReservedKey.IDENTITY_NAME: site})
        context.get_peer_context().set_prop(FLContextKey.SHAREABLE, result, private=True, sticky=False)
        engine.fire_event(EventType.BEFORE_TASK_RESULT_FILTER, context)
        for filter_ in self._filters.get("server", []):
            result = filter_.process(result, context)
        context.set_prop(FLContextKey.TASK_RESULT, result, private=True, sticky=False)
        engine.fire_event(EventType.BEFORE_PROCESS_SUBMISSION, context)
        client_task.result = result
        if task.result_received_cb:
            task.result_received_cb(client_task, context)
        engine.fire_event(EventType.AFTER_PROCESS_SUBMISSION, context)

    def _at_site(self, guard: SiteGuard, site: str, sent: Shareable, context: FLContext) -> Shareable | None:
        model = FLModelUtils.from_shareable(sent)
        try:
            answer = self._clients[site](model)
        except Exception:
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        if answer is None:
            return None
        result = answer if isinstance(answer, Shareable) else FLModelUtils.to_shareable(answer)
        for key in (AppConstants.CURRENT_ROUND, ReservedHeaderKey.COOKIE_JAR):
            if sent.get_header(key) is not None:
                result.set_header(key, sent.get_header(key))
        local = FLContext()
        local.set_prop(FLContextKey.TASK_DATA, sent, private=True, sticky=False)
        guard.handle(EventType.BEFORE_TASK_EXECUTION, local)
        local.set_prop(FLContextKey.TASK_DATA, None, private=True, sticky=False)
        local.set_prop(FLContextKey.TASK_RESULT, result, private=True, sticky=False)
        guard.handle(EventType.AFTER_TASK_EXECUTION, local)
        try:
            for filter_ in self._filters.get(site, self._filters.get("sites", [])):
                result = filter_.process(result, local)
        except Exception:
            return make_reply(ReturnCode.TASK_RESULT_FILTER_ERROR)
        local.set_prop(FLContextKey.TASK_RESULT, result, private=True, sticky=False)
        guard.handle(EventType.AFTER_TASK_RESULT_FILTER, local)
        return result


def judge(
    folder: Path,
    controller: Any,
    clients: Mapping[str, Script],
    components: Mapping[str, Any] | None = None,
    *,
    filters: Mapping[str, list[Filter]] | None = None,
    levels: Mapping[str, str] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Judgement:
    """Run a workflow with a guard, and return what the guard did.

    Args:
        folder: an empty folder, the workspace of the server.
        controller: NVFlare's controller, or the user's own.
        clients: scripts of the sites, by name.
        components: components of the job on the server, by id.
        filters: filters for results, by site; `server` for those of the server, `sites` for every site.
        levels: levels of the guard's rules.
        meta: the job's meta.json.
    """
    flare_decomposers.register()
    common_decomposers.register()
    engine = _Engine(folder, list(clients), components or {})
    Path(engine.workspace.get_job_meta_path(JOB)).write_text(json.dumps(meta or {}))
    component = _Component(engine.judgement, engine.abort)
    guard = ServerGuard(component, engine.components, Timeouts(300, 0), levels)
    engine.guard = guard
    controller.communicator = _Communicator(engine, clients, filters or {})
    controller._engine = engine
    context = engine.context()
    try:
        engine.fire_event(EventType.START_RUN, context)
        guard._check_meta(context)
        guard._controller = controller
        guard._results.__init__(expectations_of(controller, engine.components))  # type: ignore[misc]
        controller.start_controller(context)
        controller.control_flow(engine.abort, context)
        engine.fire_event(EventType.END_WORKFLOW, context)
        engine.fire_event(EventType.END_RUN, context)
    finally:
        guard.close()
    model = (getattr(controller, "fl_ctx", None) or context).get_prop(AppConstants.GLOBAL_MODEL)
    engine.judgement.model = model["weights"] if model else {}
    return engine.judgement
