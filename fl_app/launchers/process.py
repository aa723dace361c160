"""The process launchers of a parent.

They differ from NVFlare's in the program of the job process: `server_job` or `site_job`. NVFlare's own
program waits three seconds before it exits and may outlive a killed parent, and neither is configurable. They
also pass the credentials for pushing metrics in the environment of the process. They fork job processes from
a template, except those that need a new Python process; see `fl_app.launchers.template`. They start a process
that was killed again; see `fl_app.launchers.supervised_process`.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from abc import abstractmethod
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, JobConstants, ProcessType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobHandleSpec, JobProcessArgs
from nvflare.apis.workspace import Workspace
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.process_launcher import ProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher
from nvflare.utils.job_launcher_utils import add_custom_dir_to_path, get_credential_env
from nvflare.utils.process_utils import ProcessAdapter, spawn_process

from fl_app.contract import ENV_FORK_JOBS, ENV_JOB_PROCESS, ENV_PARENT_PID, KIT_FACTS, is_enabled
from fl_app.launchers.forking import JobTemplate, NotForkedError
from fl_app.launchers.job_log import log_site_error
from fl_app.launchers.process_end import end_of_process, report_end
from fl_app.launchers.restarts import Death, Restarts
from fl_app.launchers.supervised_process import JobProcess, SupervisedProcess
from fl_app.nvflare_internals.main_programs import Role
from fl_app.nvflare_internals.training_script import is_abort_requested
from fl_app.telemetry.access import push_environment

SERVER = "server"
"""The server among the sites whose errors a log contains."""

_PARENTS = (ProcessType.SERVER_PARENT, ProcessType.CLIENT_PARENT)

_log = logging.getLogger(__name__)


class _JobLauncher(ProcessJobLauncher):
    """Start a job's process, with credentials from this parent in its environment."""

    program: str
    """Module that the job process runs."""
    role: Role

    def __init__(self) -> None:
        super().__init__()
        self._template = JobTemplate(self.role) if _may_fork() else None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Prepare the template when a parent starts. Job processes create this component, too."""
        super().handle_event(event_type, fl_ctx)
        if event_type == EventType.SYSTEM_START and fl_ctx.get_process_type() in _PARENTS and self._template:
            self._template.prepare()

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> JobHandleSpec:
        """Start the process of a job."""
        job_id = job_meta[JobConstants.JOB_ID]
        arguments = dict(fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS) or {})
        environment = {
            **os.environ,
            **get_credential_env(arguments),
            **push_environment(job_id),
            ENV_PARENT_PID: str(os.getpid()),
            ENV_JOB_PROCESS: f"{os.getpid()}.{job_id}",
        }
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
        custom = workspace.get_app_custom_dir(job_id)
        if custom:
            add_custom_dir_to_path(custom, environment)
        arguments[JobProcessArgs.EXE_MODULE] = ("-m", self.program)
        fl_ctx.set_prop(FLContextKey.JOB_PROCESS_ARGS, arguments, private=True, sticky=False)
        command = shlex.split(self.get_command(job_meta, fl_ctx))
        process = JobProcess(
            partial(self._start, command, environment),
            Path(workspace.get_run_dir(job_id)),
            environment[ENV_JOB_PROCESS],
            name_in_project(workspace) or str(fl_ctx.get_identity_name()),
            is_server=self.role == "server",
        )
        return self.handle(process, job_id, fl_ctx)

    @abstractmethod
    def handle(self, process: JobProcess, job_id: str, fl_ctx: FLContext) -> JobHandleSpec:
        """Start the process and return its handle for NVFlare."""

    def _start(self, command: list[str], environment: dict[str, str]) -> ProcessAdapter:
        if self._template is not None:
            try:
                process = self._template.fork(command, environment)
            except NotForkedError as reason:
                _log.info("The job starts as a new Python process: %s", reason)
            else:
                _log.info("Launch the job in process ID: %s (forked)", process)
                return ProcessAdapter(pid=process)
        return spawn_process(command, environment)


def name_in_project(workspace: Workspace) -> str:
    """Return the name of this participant in project.yml: NVFlare calls every server `server`."""
    facts = Path(workspace.root_dir, "local", KIT_FACTS)
    return str(json.loads(facts.read_text(encoding="utf-8"))["name"]) if facts.exists() else ""


def _may_fork() -> bool:
    return sys.platform == "linux" and is_enabled(ENV_FORK_JOBS)


class ServerJobLauncher(_JobLauncher, ServerProcessJobLauncher):
    """Start the server's part of a job."""

    program = "fl_app.launchers.server_job"
    role = "server"

    def handle(self, process: JobProcess, job_id: str, fl_ctx: FLContext) -> SupervisedProcess:
        """Return a handle that writes to the job's log if the process was killed for good."""
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
        restarts = Restarts(fl_ctx.get_engine(), job_id, site="")

        def ended(code: int | None, death: Death | None) -> None:
            if death is not None and not restarts.is_requested():
                error = end_of_process(process.folder, code, death.text)
                if error is not None:
                    log_site_error(workspace, job_id, replace(error, site=SERVER))

        return SupervisedProcess(process, restarts, ended)


class ClientJobLauncher(_JobLauncher, ClientProcessJobLauncher):
    """Start a site's part of a job."""

    program = "fl_app.launchers.site_job"
    role = "client"

    def handle(self, process: JobProcess, job_id: str, fl_ctx: FLContext) -> SupervisedProcess:
        """Return a handle that tells the server why the process ended, before NVFlare does."""
        engine = fl_ctx.get_engine()

        def ended(code: int | None, death: Death | None) -> None:
            report_end(engine, job_id, process.folder, code, death.text if death else "")

        restarts = Restarts(engine, job_id, process.site, partial(is_abort_requested, engine, job_id))
        return SupervisedProcess(process, restarts, ended)
