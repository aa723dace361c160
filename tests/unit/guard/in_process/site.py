"""A site of a job: it asks for tasks, and answers them with the guard at its side."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.workspace import Workspace
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.private.event import fire_event

from fl_app.guard.component import JobGuard
from tests.unit.guard.in_process.job import JOB, POLL, Job
from tests.unit.guard.in_process.server import SERVER, ServerEngine


class _SiteEngine:
    """A site's engine, as far as the guard uses it."""

    def __init__(self, name: str, server: ServerEngine, components: Mapping[str, Any]) -> None:
        self._name = name
        self._server = server
        self._components = components
        stickers = {FLContextKey.WORKSPACE_OBJECT: server.workspace}
        self._contexts = FLContextManager(
            engine=self, identity_name=name, job_id=JOB, public_stickers={}, private_stickers=stickers
        )

    def new_context(self) -> FLContext:
        return self._contexts.new_context()

    def get_all_components(self) -> Mapping[str, Any]:
        return self._components

    def get_component(self, component_id: str) -> Any:
        return self._components.get(component_id)

    def get_workspace(self) -> Workspace:
        return self._server.workspace

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        fire_event(event=event_type, handlers=list(self._components.values()), ctx=fl_ctx)

    def send_aux_request(self, targets: Any, topic: str, request: Shareable, **_: Any) -> dict[str, Any]:
        if topic not in self._server.messages:
            return {}
        with self._server.from_site(self._name) as context:
            return {SERVER: self._server.messages[topic](topic, request, context)}


class Site:
    """A site that asks for tasks until the job ends."""

    def __init__(self, name: str, job: Job, server: ServerEngine, guarded: bool) -> None:
        self._name = name
        self._job = job
        self._server = server
        self._engine = _SiteEngine(name, server, {"guard": JobGuard()} if guarded else {})
        self._filters = job.site_filters

    def work(self) -> None:
        with self._engine.new_context() as context:
            context.set_prop(ReservedKey.RUN_ABORT_SIGNAL, Signal(), private=True, sticky=True)
            self._engine.fire_event(EventType.START_RUN, context)
        client = self._server.get_client_from_name(self._name)
        while True:
            with self._server.from_site(self._name) as context:
                task, task_id, data = self._server.runner.process_task_request(client, context)
                data = copy.deepcopy(data)
            if task == "__end_run__":
                break
            if task == "__try_again__":
                time.sleep(POLL)
                continue
            result = copy.deepcopy(self._answer(task, data))
            result.set_cookie_jar(data.get_cookie_jar())
            with self._server.from_site(self._name, result) as context:
                self._server.runner.process_submission(client, task, task_id, result, context)
        with self._engine.new_context() as context:
            self._engine.fire_event(EventType.END_RUN, context)

    def _answer(self, task: str, data: Shareable) -> Shareable:
        """Execute a task, with the events and filters of NVFlare's client runner."""
        with self._engine.new_context() as context:
            context.set_prop(FLContextKey.TASK_NAME, task, private=True, sticky=False)
            context.set_prop(FLContextKey.TASK_DATA, data, private=True, sticky=False)
            self._engine.fire_event(EventType.BEFORE_TASK_EXECUTION, context)
            try:
                received = FLModelUtils.from_shareable(data)
                received.meta["task"] = task
                answer = self._job.train(self._name, received)
                result = answer if isinstance(answer, Shareable) else FLModelUtils.to_shareable(answer)
                if data.get_header("current_round") is not None:
                    result.set_header("current_round", data.get_header("current_round"))
            except RuntimeError:
                result = make_reply(ReturnCode.EXECUTION_EXCEPTION)
            context.set_prop(FLContextKey.TASK_RESULT, result, private=True, sticky=False)
            self._engine.fire_event(EventType.AFTER_TASK_EXECUTION, context)
            try:
                for one in self._filters:
                    result = one.process(result, context)
            except ValueError:
                return make_reply(ReturnCode.TASK_RESULT_FILTER_ERROR)
            context.set_prop(FLContextKey.TASK_RESULT, result, private=True, sticky=False)
            self._engine.fire_event(EventType.AFTER_TASK_RESULT_FILTER, context)
            return result
