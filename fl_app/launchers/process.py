"""The process launchers of a parent.

They differ from NVFlare's in the program of the job process: `server_job` or `site_job`. NVFlare's own
program waits three seconds before it exits and may outlive a killed parent, and neither is configurable. They
also pass the credentials for pushing metrics in the environment of the process. They fork job processes from
a template, except those that need a new Python process; see `fl_app.launchers.template`.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, JobConstants, ProcessType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobHandleSpec, JobProcessArgs
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.process_launcher import ProcessHandle, ProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher
from nvflare.utils.job_launcher_utils import add_custom_dir_to_path, get_credential_env
from nvflare.utils.process_utils import ProcessAdapter, spawn_process

from fl_app.contract import ENV_FORK_JOBS, ENV_PARENT_PID
from fl_app.launchers.forking import JobTemplate, NotForkedError
from fl_app.launchers.process_end import report_end
from fl_app.nvflare_internals.main_programs import Role
from fl_app.telemetry.access import push_environment

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
        }
        custom = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_app_custom_dir(job_id)
        if custom:
            add_custom_dir_to_path(custom, environment)
        arguments[JobProcessArgs.EXE_MODULE] = ("-m", self.program)
        fl_ctx.set_prop(FLContextKey.JOB_PROCESS_ARGS, arguments, private=True, sticky=False)
        command = shlex.split(self.get_command(job_meta, fl_ctx))
        return self.handle(self._start(command, environment), job_id, fl_ctx)

    def handle(self, process: ProcessAdapter, job_id: str, fl_ctx: FLContext) -> ProcessHandle:
        """Return NVFlare's handle of the process of a job."""
        return ProcessHandle(process_adapter=process)

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


def _may_fork() -> bool:
    disabled = os.environ.get(ENV_FORK_JOBS, "").lower() in ("0", "f", "false", "n", "no", "off")
    return sys.platform == "linux" and not disabled


class ServerJobLauncher(_JobLauncher, ServerProcessJobLauncher):
    """Start the server's part of a job."""

    program = "fl_app.launchers.server_job"
    role = "server"


class ClientJobLauncher(_JobLauncher, ClientProcessJobLauncher):
    """Start a site's part of a job."""

    program = "fl_app.launchers.site_job"
    role = "client"

    def handle(self, process: ProcessAdapter, job_id: str, fl_ctx: FLContext) -> ProcessHandle:
        """Return a handle that tells the server why the process ended."""
        return _SiteJobHandle(process, job_id, fl_ctx)


class _SiteJobHandle(ProcessHandle):
    def __init__(self, process: ProcessAdapter, job_id: str, fl_ctx: FLContext) -> None:
        super().__init__(process_adapter=process)
        self._job_id = job_id
        self._engine = fl_ctx.get_engine()
        self._folder = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_run_dir(job_id))

    def wait(self) -> None:
        """Wait until the process has ended, and report an end that is not clean before NVFlare does."""
        super().wait()
        try:
            report_end(self._engine, self._job_id, self._folder, self.adapter.poll())
        except Exception:  # NVFlare must learn the end of the process, whatever becomes of the report
            _log.exception("reporting the end of job %s failed", self._job_id)
