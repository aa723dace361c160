"""A server's parent for tests: NVFlare's job store with our job manager, and a simulated engine."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_constant import ProcessType, ReservedKey, RunProcessKey, SystemComponents
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.job_def import Job, JobMetaKey, new_job_id
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.app_common.storages.filesystem_storage import FilesystemStorage

from fl_app.survival.interventions import HISTORY_META
from fl_app.survival.job_manager import JobManager


class Server(ServerEngineSpec):  # type: ignore[misc]
    """NVFlare's engine of the server's parent, as far as survival uses it."""

    def __init__(self, folder: Path) -> None:
        (folder / "jobs").mkdir(exist_ok=True)
        self.folder = folder
        self.manager = JobManager(str(folder / "jobs"))
        self.job_def_manager = self.manager
        self.components = {
            "job_store": FilesystemStorage(root_dir=str(folder), uri_root=str(folder)),
            SystemComponents.JOB_MANAGER: self.manager,
        }
        self.lock = threading.Lock()
        self.run_processes: dict[str, dict[str, Any]] = {}
        self.exception_run_processes: dict[str, dict[str, Any]] = {}
        self.client_manager = SimpleNamespace(clients={}, name_to_clients={})
        self._contexts = FLContextManager(
            engine=self, job_id="", private_stickers={ReservedKey.PROCESS_TYPE: ProcessType.SERVER_PARENT}
        )

    def new_context(self) -> FLContext:
        return self._contexts.new_context()

    def get_component(self, component_id: str) -> Any:
        return self.components.get(component_id)

    def get_clients(self) -> list[Client]:
        return list(self.client_manager.clients.values())

    def get_workspace(self) -> Any:
        return SimpleNamespace(get_root_dir=lambda: str(self.folder))

    def register(self, site: str, token: str) -> Client:
        """Register a site, as a heartbeat or a registration does."""
        for old in [t for t, c in self.client_manager.clients.items() if c.name == site]:
            del self.client_manager.clients[old]
        client = Client(site, token)
        self.client_manager.clients[token] = self.client_manager.name_to_clients[site] = client
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

    def job(self, job_id: str) -> Job:
        with self.new_context() as fl_ctx:
            return self.manager.get_job(job_id, fl_ctx)

    def history(self, job_id: str) -> list[str]:
        """Return the history of a job, as lines."""
        entries = self.job(job_id).meta.get(HISTORY_META) or []
        return [f"{entry['kind']} {entry['site']}: {entry['text']}" for entry in entries]


Server.__abstractmethods__ = frozenset()
