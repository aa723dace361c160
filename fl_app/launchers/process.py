"""The process launchers of a parent: NVFlare's, but each job process starts through a door of the kit
(`site_job`, `server_job`).

NVFlare's own main waits three seconds before it exits and may outlive a killed parent; neither can be
configured.
"""

from __future__ import annotations

import os
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobProcessArgs
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher


def _start_through(door: str, fl_ctx: FLContext) -> None:
    """Name `door` as the module of the job process, with this process as the one it must not outlive."""
    arguments: dict[str, Any] = dict(fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS))
    arguments[JobProcessArgs.EXE_MODULE] = ("-m", f"{door} {os.getpid()}")
    fl_ctx.set_prop(FLContextKey.JOB_PROCESS_ARGS, arguments, private=True, sticky=False)


class ServerJobLauncher(ServerProcessJobLauncher):
    """Starts the server's part of a job."""

    def get_command(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> str:
        """NVFlare's command line, through `fl_app.launchers.server_job`."""
        _start_through("fl_app.launchers.server_job", fl_ctx)
        return super().get_command(job_meta, fl_ctx)


class ClientJobLauncher(ClientProcessJobLauncher):
    """Starts a site's part of a job."""

    def get_command(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> str:
        """NVFlare's command line, through `fl_app.launchers.site_job`."""
        _start_through("fl_app.launchers.site_job", fl_ctx)
        return super().get_command(job_meta, fl_ctx)
