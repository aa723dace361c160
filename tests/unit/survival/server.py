"""A server's parent for tests: NVFlare's job store with our job manager, and a simulated engine."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_constant import (
    FLContextKey,
    ProcessType,
    ReservedKey,
    RunProcessKey,
    SystemComponents,
)
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.job_def import Job, JobMetaKey, RunStatus, new_job_id
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.app_common.job_schedulers.job_scheduler import DefaultJobScheduler
from nvflare.app_common.storages.filesystem_storage import FilesystemStorage
from nvflare.fuel.f3.cellnet.defs import ReturnCode
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.private.admin_defs import Message
from nvflare.private.defs import ERROR_MSG_PREFIX, TrainingTopic
from nvflare.private.fed.server.client_manager import ClientManager
from nvflare.private.fed.server.job_runner import JobRunner

from fl_app.survival.interventions import HISTORY_META
from fl_app.survival.job_manager import JobManager


class Clock:
    """Seconds, set by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Server(ServerEngineSpec):  # type: ignore[misc]
    """NVFlare's engine of the server's parent, as far as survival uses it."""

    def __init__(self, folder: Path) -> None:
        (folder / "jobs").mkdir(exist_ok=True)
        self.folder = folder
        self.manager = JobManager(str(folder / "jobs"))
        self.job_def_manager = self.manager
        self.scheduler = DefaultJobScheduler()
        self.job_runner = JobRunner(str(folder))
        self.job_runner.scheduler = self.scheduler
        self.components = {
            SystemComponents.JOB_SCHEDULER: self.scheduler,
            "job_store": FilesystemStorage(root_dir=str(folder), uri_root=str(folder)),
            SystemComponents.JOB_MANAGER: self.manager,
        }
        self.lock = threading.Lock()
        self.run_processes: dict[str, dict[str, Any]] = {}
        self.exception_run_processes: dict[str, dict[str, Any]] = {}
        self.client_manager = ClientManager("project")
        self.server = SimpleNamespace(remove_client_data=lambda token: None, admin_server=Sites(self))
        self.launched: list[str] = []
        self.launch_error: Exception | None = None
        self.answers: dict[tuple[str, str], Any] = {}
        """Answers of the server's processes of jobs, by job and topic."""
        self._contexts = FLContextManager(
            engine=self,
            job_id="",
            private_stickers={
                ReservedKey.PROCESS_TYPE: ProcessType.SERVER_PARENT,
                FLContextKey.WORKSPACE_OBJECT: self.get_workspace(),
            },
        )

    def new_context(self) -> FLContext:
        return self._contexts.new_context()

    def get_component(self, component_id: str) -> Any:
        return self.components.get(component_id)

    def get_clients(self) -> list[Client]:
        return list(self.client_manager.clients.values())

    def get_workspace(self) -> Any:
        return SimpleNamespace(
            get_root_dir=lambda: str(self.folder),
            get_audit_file_path=lambda: str(self.folder / "audit.log"),
            get_app_dir=lambda job_id: str(self.folder / job_id / "app"),
        )

    def validate_targets(self, names: list[str]) -> Any:
        return self.client_manager.get_all_clients_from_inputs(names)

    def get_cell(self) -> Any:
        return SimpleNamespace(send_request=self._ask)

    def _ask(self, channel: str, topic: str, target: str, **request: Any) -> Any:
        answer = self.answers.get((target.split(".")[1], topic))
        return make_reply(ReturnCode.TARGET_UNREACHABLE if answer is None else ReturnCode.OK, "", answer)

    def check_client_resources(self, job: Job, needed: Any, fl_ctx: FLContext) -> Any:
        return dict.fromkeys(needed, self.server.admin_server.resources)

    def start_client_job(self, job: Job, dispatched: Any, fl_ctx: FLContext) -> Any:
        return [SimpleNamespace(reply=self.server.admin_server.start(job, site)) for site in dispatched]

    def _start_runner_process(self, job: Job, clients: Any, snapshot: Any, fl_ctx: FLContext) -> None:
        """Launch the server's process of a job, as NVFlare's engine does."""
        if self.launch_error:
            raise self.launch_error
        self.launched.append(job.job_id)
        self.run_processes[job.job_id] = {"job_handle": object(), RunProcessKey.PARTICIPANTS: clients}

    def register(self, site: str, token: str) -> Client:
        """Register a site, as a heartbeat or a registration does."""
        manager = self.client_manager
        for old in [one.token for one in self.get_clients() if one.name == site]:
            manager.remove_client(old)
        client = manager.clients[token] = manager.name_to_clients[site] = Client(site, token)
        return client

    def submit(self, **meta: Any) -> str:
        """Store a job and return its id."""
        job_id = str(new_job_id())
        with self.new_context() as fl_ctx:
            self.manager.create({JobMetaKey.JOB_ID.value: job_id, **meta}, b"", fl_ctx)
        return job_id

    def run(self, job_id: str, *clients: Client) -> None:
        """Run a job on these sites."""
        self.run_processes[job_id] = {RunProcessKey.PARTICIPANTS: {one.token: one for one in clients}}
        self.job_runner.running_jobs[job_id] = self.job(job_id)
        self.job_runner._pending_client_outcomes[job_id] = {one.name for one in clients}
        with self.new_context() as fl_ctx:
            self.manager.set_status(job_id, RunStatus.RUNNING, fl_ctx)

    def job(self, job_id: str) -> Job:
        with self.new_context() as fl_ctx:
            return self.manager.get_job(job_id, fl_ctx)

    def history(self, job_id: str) -> list[str]:
        """Return the history of a job, as lines."""
        entries = self.job(job_id).meta.get(HISTORY_META) or []
        return [f"{entry['kind']} {entry['site']}: {entry['text']}" for entry in entries]


class Sites:
    """The sites, as the admin server reaches them."""

    timeout = 1.0

    def __init__(self, server: Server) -> None:
        self._server = server
        self.running: dict[str, list[str] | None] = {}
        """Jobs that each site runs; None if it does not answer."""
        self.resources: tuple[bool, str] = (True, "token")
        self.requests: list[str] = []
        """Requests but those for the status: `TOPIC SITE`."""
        self.start_error = ""

    def client_dead(self, token: str) -> None:
        """Forget a site."""

    def send_requests_and_get_reply_dict(self, requests: dict[str, Message], timeout_secs: float) -> Any:
        return {token: self._reply(token, request) for token, request in requests.items()}

    def start(self, job: Job, site: str) -> Message:
        assert job.meta[JobMetaKey.JOB_CLIENTS.value]  # without it, the site's job process hangs
        self.requests.append(f"start {site}")
        if self.start_error:
            return Message("reply", f"{ERROR_MSG_PREFIX}: {self.start_error}")
        self.running[site] = [*(self.running.get(site) or ()), job.job_id]
        return Message("reply", "OK")

    def _reply(self, token: str, request: Message) -> Message | None:
        site = self._server.client_manager.clients[token].name
        jobs = self.running.setdefault(site, [])
        if jobs is None:
            return None
        if request.topic == TrainingTopic.CHECK_STATUS:
            return Message("reply", json.dumps({"running_jobs": [{"job_id": job} for job in jobs]}))
        self.requests.append(f"{request.topic} {site}")
        return Message("reply", "OK")


Server.__abstractmethods__ = frozenset()
