"""The server of a job: NVFlare's runner in an engine without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.impl.wf_comm_server import WFCommServer
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable
from nvflare.apis.workspace import Workspace
from nvflare.fuel.utils.class_utils import instantiate_class
from nvflare.private.event import fire_event
from nvflare.private.fed.server.server_runner import ServerRunner, ServerRunnerConfig

from fl_app.guard.component import JobGuard
from fl_app.guard.finding import WARNING_EVENT
from tests.unit.guard.in_process.job import JOB, POLL, Ended, Job

SERVER = "server"


class _Recorder(FLComponent):
    """Record the reasons for which the job ends, and the warnings of the guard."""

    def __init__(self, ended: Ended) -> None:
        super().__init__()
        self._ended = ended

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.FATAL_SYSTEM_ERROR:
            self._ended.panics.append(str(fl_ctx.get_prop(FLContextKey.EVENT_DATA)))
        elif event_type == WARNING_EVENT:
            self._ended.warnings.append(fl_ctx.get_prop(FLContextKey.EVENT_DATA).line)


class ServerEngine(ServerEngineSpec):
    """The server's engine, as far as NVFlare's runner and the guard use it."""

    def __init__(self, job: Job, folder: Path, guarded: bool) -> None:
        self.job_folder = folder / JOB / f"app_{SERVER}"
        for needed in (self.job_folder / "config", folder / "startup", folder / "local"):
            needed.mkdir(parents=True, exist_ok=True)
        meta = {"name": JOB, **job.meta}
        (folder / JOB / "meta.json").write_text(json.dumps(meta))
        self.workspace = Workspace(str(folder), site_name=SERVER)
        self.clients = [Client(name, f"token of {name}") for name in job.sites]
        self.messages: dict[str, Callable[..., Shareable]] = {}
        self.ended = Ended(self.job_folder)
        guard = {"guard": JobGuard(task_timeout=0, rules=dict(job.levels))} if guarded else {}
        components = {**job.components, **guard}
        workflows = [SimpleNamespace(id=f"wf{i}", controller=one) for i, one in enumerate(job.workflows)]
        handlers = [one for one in components.values() if isinstance(one, FLComponent)]
        for workflow in workflows:
            communicator = WFCommServer(task_check_period=POLL)
            workflow.controller.set_communicator(communicator)
            if hasattr(workflow.controller, "_task_check_period"):
                workflow.controller._task_check_period = POLL
            handlers += [communicator, workflow.controller]
        self.run_manager = SimpleNamespace(handlers=[*handlers, _Recorder(self.ended)], components=components)
        config = ServerRunnerConfig(
            heartbeat_timeout=60,
            task_request_interval=POLL,
            workflows=workflows,
            task_data_filters=_Filters(job.task_filters),
            task_result_filters=_Filters(job.server_filters),
            handlers=handlers,
            components=components,
        )
        stickers = {
            FLContextKey.WORKSPACE_OBJECT: self.workspace,
            FLContextKey.WORKSPACE_ROOT: str(folder),
            FLContextKey.APP_ROOT: str(self.job_folder),
            FLContextKey.JOB_META: meta,
        }
        self._contexts = FLContextManager(
            engine=self,
            identity_name=SERVER,
            job_id=JOB,
            public_stickers={},
            private_stickers=stickers,
        )
        self.runner = ServerRunner(config, JOB, self)
        self.run_manager.handlers.append(self.runner)

    def new_context(self) -> FLContext:
        return self._contexts.new_context()

    def from_site(self, site: str, message: Shareable | None = None) -> FLContext:
        """Return the context of a message of a site."""
        context = self.new_context()
        peer = FLContext()
        peer.put(ReservedKey.IDENTITY_NAME, site, private=False, sticky=True)
        peer.put(ReservedKey.RUN_NUM, JOB, private=False, sticky=True)
        if message is not None:
            peer.put(FLContextKey.SHAREABLE, message, private=True, sticky=False)
        context.set_peer_context(peer)
        return context

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        fire_event(event=event_type, handlers=self.run_manager.handlers, ctx=fl_ctx)

    def get_clients(self) -> list[Client]:
        return self.clients

    def get_participating_clients(self) -> dict[str, Client]:
        return {one.token: one for one in self.clients}

    def validate_targets(self, target_names: list[str]) -> tuple[list[Client], list[str]]:
        found = [one for one in self.clients if one.name in target_names]
        return found, [name for name in target_names if name not in {one.name for one in found}]

    def get_client_from_name(self, name: str) -> Client | None:
        return next((one for one in self.clients if one.name == name), None)

    def get_workspace(self) -> Workspace:
        return self.workspace

    def get_component(self, component_id: str) -> Any:
        return self.run_manager.components.get(component_id)

    def get_all_components(self) -> Mapping[str, Any]:
        return self.run_manager.components

    def build_component(self, config: Mapping[str, Any]) -> Any:
        return instantiate_class(config["path"], config["args"])

    def register_aux_message_handler(self, topic: str, message_handle_func: Any) -> None:
        self.messages[topic] = message_handle_func

    def send_aux_request(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}

    def persist_components(self, fl_ctx: FLContext, completed: bool) -> None:
        """Nothing is persisted, as in NVFlare."""

    def shutdown_streamer(self) -> None:
        """There is none."""


ServerEngine.__abstractmethods__ = frozenset()


class _Filters(dict[str, list[Any]]):
    """The same filters for every task."""

    def __init__(self, filters: Sequence[Any]) -> None:
        super().__init__()
        self._filters = list(filters)

    def get(self, key: str, default: Any = None) -> list[Any]:  # type: ignore[override]
        return self._filters
