"""The server of a Flower job: NVFlare's controller, which reports why the job fails."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal
from nvflare.app_common.tie.defs import Constant as TieConstant

from fl_app.contract import installed_version
from fl_app.flower.environment import REMEDY, version_error
from fl_app.flower.processes import SERVER_APP_LOG, SuperLink
from fl_app.guard import Finding, fail
from fl_app.nvflare_internals.flower import FlowerControllerWithCallbacks
from fl_app.survival.job_liveness import job_liveness_of
from fl_app.survival.limits import site_wait
from fl_app.survival.no_restart import find_restarted_server
from fl_app.survival.start_over import start_over

STATUS_INTERVAL = 5.0
"""Seconds between two status queries to the SuperLink; each starts a process."""
READY_TIMEOUT = 60.0
TASK_TIMEOUT = 60
"""Seconds within which every site must start its SuperNode."""

_EXCEPTION = re.compile(r"^(?P<error>\w[\w.]*(?:Error|Exception|Failed|Exit)\b.*)$", re.MULTILINE)


class FlowerServer(FlowerControllerWithCallbacks):
    """Run a Flower app of the image.

    All arguments are explicit: NVFlare's job export drops the arguments of a subclass that takes `**kwargs`.

    Args:
        app: Python package whose folder is the Flower app.
        run_config: values that override the app's configuration.
    """

    def __init__(self, *, app: str, run_config: dict[str, Any]) -> None:
        super().__init__(
            superlink_ready_timeout=READY_TIMEOUT,
            superlink_min_query_interval=STATUS_INTERVAL,
            configure_task_timeout=TASK_TIMEOUT,
            start_task_timeout=TASK_TIMEOUT,
            run_config=run_config,
        )
        self.app = app
        self._cannot_start = False
        self._superlink: SuperLink | None = None

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Start, unless the installed Flower is not supported, or an earlier process has started the job.

        NVFlare accepts no message of a SuperNode yet: they would exit, and hide the reason.
        """
        if error := version_error(installed_version("flwr")):
            self._cannot_start = True
            fail(self, fl_ctx, Finding(error, REMEDY, site="server"))
        elif finding := find_restarted_server(self, fl_ctx):
            self._cannot_start = True
            if not start_over(finding, fl_ctx, self.system_panic):
                fail(self, fl_ctx, finding)
        else:
            self.max_client_op_interval = site_wait(fl_ctx.get_prop(FLContextKey.JOB_META))
            self.progress_timeout = max(TieConstant.WORKFLOW_PROGRESS_TIMEOUT, self.max_client_op_interval)
            super().start_controller(fl_ctx)

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the app, unless the job could not start."""
        if not self._cannot_start:
            super().control_flow(abort_signal, fl_ctx)

    def get_connector(self, fl_ctx: FLContext) -> Any:
        """Return the bridge to the SuperLink."""
        from fl_app.flower.connectors import ServerConnector

        return ServerConnector(
            self._on_client_app_failure,
            int_client_grpc_options=self.int_client_grpc_options,
            monitor_interval=self.monitor_interval,
        )

    def get_applet(self, fl_ctx: FLContext) -> SuperLink:
        """Return the SuperLink."""
        self._superlink = SuperLink(
            self.app,
            database=self.database,
            superlink_ready_timeout=self.superlink_ready_timeout,
            superlink_grace_period=self.superlink_grace_period,
            superlink_min_query_interval=self.superlink_min_query_interval,
            run_config=self.run_config,
        )
        return self._superlink

    def silence_of(self, site: str) -> float:
        """Return the seconds since the last sign of life of a site; infinity if nothing is known."""
        silence = job_liveness_of(self._engine).silence(site)
        return math.inf if silence is None else silence

    def _on_client_app_failure(self, fl_ctx: FLContext, reason: str) -> None:
        site = fl_ctx.get_peer_context().get_identity_name()
        remedy = f"See the traceback in the log of {site}, in the lines with FLWR-CA."
        fail(self, fl_ctx, Finding(f"the ClientApp raised {reason}", remedy, site=site))

    def on_super_node_exit(self, site: str, exit_code: int, fl_ctx: FLContext) -> None:
        """End the job if a SuperNode exits before the ServerApp; NVFlare would report it as completed."""
        if self._is_ending():
            return
        fail(
            self,
            fl_ctx,
            Finding(
                f"its SuperNode exited before the ServerApp (exit code {exit_code})",
                f"See the lines with FLWR-CA and ReliableMessage in the log of {site}; submit the job again.",
                site=site,
            ),
        )

    def _is_ending(self) -> bool:
        """Return whether the run has finished or the job is aborted; sites know before this controller."""
        finished = self._superlink is not None and self._superlink.flower_run_finished
        return finished or (self.abort_signal is not None and self.abort_signal.triggered)

    def on_server_app_exit(self, exit_code: int, fl_ctx: FLContext) -> None:
        """Report why the ServerApp failed; NVFlare reports only `rc=103`."""
        if not exit_code:
            return
        engine = fl_ctx.get_engine()
        log = Path(engine.get_workspace().get_run_dir(fl_ctx.get_job_id()), SERVER_APP_LOG)
        what = f"the ServerApp failed: {last_exception(log) or f'exit code {exit_code}'}"
        with engine.new_context() as new_ctx:
            remedy = f"See the traceback in {SERVER_APP_LOG} of the job's results."
            fail(self, new_ctx, Finding(what, remedy, site="server"))


def last_exception(log: Path) -> str:
    """Return the last line of a log that names an exception; empty without one."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = [match["error"].strip() for match in _EXCEPTION.finditer(text)]
    return found[-1] if found else ""
