"""NVFlare's Flower controller and SuperLink, with callbacks in place of private methods."""

from __future__ import annotations

import time
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.tie.defs import Constant
from nvflare.app_common.tie.process_mgr import CommandDescriptor
from nvflare.app_opt.flower.applet import FlowerServerApplet
from nvflare.app_opt.flower.controller import FlowerController

USES = {
    "nvflare.app_common.tie.controller:TieController._process_client_done": "callback when a SuperNode exits",
    "nvflare.app_common.tie.controller:TieController._app_stopped": "callback when the ServerApp exits",
    "nvflare.app_common.tie.controller:TieController._check_job_status": (
        "keep a site of a Flower job that gives signs of life"
    ),
    "nvflare.app_opt.flower.applet:FlowerServerApplet._query_for_run_status": (
        "callback when a Flower run has finished"
    ),
    "nvflare.app_opt.flower.applet:FlowerServerApplet._build_flower_env": (
        "environment of Flower's processes on the server"
    ),
    "nvflare.app_opt.flower.applet:FlowerServerApplet._start_process": "command line of the SuperLink",
}


class FlowerControllerWithCallbacks(FlowerController):
    """NVFlare's Flower controller with callbacks, which subclasses define.

    - on_super_node_exit(site, exit_code, fl_ctx): called before NVFlare marks the site as done.
    - on_server_app_exit(exit_code, fl_ctx): called before NVFlare ends the job.
    - silence_of(site): returns the seconds since the last sign of life of a site. NVFlare itself knows only
      the requests of its SuperNode.
    """

    def _check_job_status(self, fl_ctx: FLContext) -> bool:
        for site, status in self.client_statuses.items():
            status.last_op_time = max(status.last_op_time, time.time() - self.silence_of(site))
        return bool(super()._check_job_status(fl_ctx))

    def _process_client_done(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        site = fl_ctx.get_peer_context().get_identity_name()
        self.on_super_node_exit(site, request.get(Constant.MSG_KEY_EXIT_CODE), fl_ctx)
        return super()._process_client_done(topic, request, fl_ctx)

    def _app_stopped(self, rc: int, fl_ctx: FLContext) -> None:
        self.on_server_app_exit(rc, fl_ctx)
        super()._app_stopped(rc, fl_ctx)


class SuperLinkWithCallbacks(FlowerServerApplet):
    """NVFlare's SuperLink applet with callbacks, which subclasses define.

    - on_run_finished(): called at the end of the run, while the SuperLink is still running.
    - extra_environment(): returns variables for all of Flower's processes on the server.
    - wrap_command(command): returns the command line of the SuperLink.
    """

    def cli_environment(self) -> dict[str, str]:
        """Return the variables with which `flwr` finds this SuperLink."""
        return self._build_flower_env(include_flwr_home=True)

    def _query_for_run_status(self) -> tuple[bool, int]:
        stopped, code = super()._query_for_run_status()
        if stopped:
            self.on_run_finished()
        return stopped, code

    def _build_flower_env(self, include_flwr_home: bool) -> dict[str, str]:
        return {**(super()._build_flower_env(include_flwr_home) or {}), **self.extra_environment()}

    def _start_process(self, name: str, cmd_desc: CommandDescriptor, fl_ctx: Any) -> Any:
        return super()._start_process(name, self.wrap_command(cmd_desc), fl_ctx)
