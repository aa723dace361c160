"""The process launchers of a parent: NVFlare's, but each job process starts through a door of the kit
(`site_job`, `server_job`).

NVFlare's own main waits three seconds before it exits and may outlive a killed parent; neither can be
configured. Nor can the environment of one job's process, in which it finds its way to push metrics.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from nvflare.apis.fl_constant import FLContextKey, JobConstants
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobHandleSpec, JobProcessArgs
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.process_launcher import ProcessHandle, ProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher
from nvflare.utils.job_launcher_utils import add_custom_dir_to_path, get_credential_env
from nvflare.utils.process_utils import spawn_process

from fl_app.telemetry.access import push_environment


def _start_through(door: str, fl_ctx: FLContext) -> None:
    """Name `door` as the module of the job process, with this process as the one it must not outlive."""
    arguments: dict[str, Any] = dict(fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS))
    arguments[JobProcessArgs.EXE_MODULE] = ("-m", f"{door} {os.getpid()}")
    fl_ctx.set_prop(FLContextKey.JOB_PROCESS_ARGS, arguments, private=True, sticky=False)


class _JobLauncher(ProcessJobLauncher):
    """Starts a job's process, with what it needs to push to this parent in its environment."""

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> JobHandleSpec:
        """Start the process of a job."""
        job_id = job_meta[JobConstants.JOB_ID]
        environment = {
            **os.environ,
            **get_credential_env(fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS) or {}),
            **push_environment(job_id),
        }
        custom = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_app_custom_dir(job_id)
        if custom:
            add_custom_dir_to_path(custom, environment)
        command = shlex.split(self.get_command(job_meta, fl_ctx))
        return ProcessHandle(process_adapter=spawn_process(command, environment))


class ServerJobLauncher(_JobLauncher, ServerProcessJobLauncher):
    """Starts the server's part of a job."""

    def get_command(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> str:
        """NVFlare's command line, through `fl_app.launchers.server_job`."""
        _start_through("fl_app.launchers.server_job", fl_ctx)
        return super().get_command(job_meta, fl_ctx)


class ClientJobLauncher(_JobLauncher, ClientProcessJobLauncher):
    """Starts a site's part of a job."""

    def get_command(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> str:
        """NVFlare's command line, through `fl_app.launchers.site_job`."""
        _start_through("fl_app.launchers.site_job", fl_ctx)
        return super().get_command(job_meta, fl_ctx)
