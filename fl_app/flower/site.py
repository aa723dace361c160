"""A site of a Flower job: NVFlare's executor, which reports why it cannot run the app."""

from __future__ import annotations

from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_opt.flower.executor import FlowerExecutor

from fl_app.contract import SITE_WAIT_SECONDS, installed_version
from fl_app.flower.environment import REMEDY, version_error
from fl_app.flower.processes import SuperNode, app_folder
from fl_app.guard import Finding, fail

MESSAGE_TIMEOUT = 60.0
"""Seconds for one attempt to send a message."""
TRANSACTION_TIMEOUT = SITE_WAIT_SECONDS
"""Seconds for all attempts, after which the SuperNode exits. The server decides how long it waits for a site,
and NVFlare ends the site's part of a job that the server has ended."""


class FlowerSite(FlowerExecutor):
    """Run a SuperNode, and ClientApps of the site's own image.

    Args:
        app: Python package whose folder is the Flower app.
    """

    def __init__(self, *, app: str) -> None:
        super().__init__(per_msg_timeout=MESSAGE_TIMEOUT, tx_timeout=TRANSACTION_TIMEOUT)
        self.app = app
        self._version_error = ""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Start, unless the installed Flower is not supported."""
        if event_type == EventType.START_RUN:
            self._version_error = version_error(installed_version("flwr"))
            if self._version_error:
                self._fail(fl_ctx, self._version_error, REMEDY)
        if not self._version_error:
            super().handle_event(event_type, fl_ctx)

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Execute a task of the server, unless the installed Flower is not supported."""
        if self._version_error:
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        return super().execute(task_name, shareable, fl_ctx, abort_signal)

    def get_connector(self, fl_ctx: FLContext) -> Any:
        """Return the bridge from the SuperNode to the server."""
        from fl_app.flower.connectors import SiteConnector

        return SiteConnector(
            app_folder(self.app),
            self._on_different_app,
            int_server_grpc_options=self.int_server_grpc_options,
            per_msg_timeout=self.per_msg_timeout,
            tx_timeout=self.tx_timeout,
        )

    def get_applet(self, fl_ctx: FLContext) -> SuperNode:
        """Return the SuperNode."""
        return SuperNode(extra_env=self.extra_env)

    def _on_different_app(self, file: str) -> None:
        with self.engine.new_context() as fl_ctx:
            self._fail(
                fl_ctx,
                f"the Flower app of the server differs from the one of this site in {file}",
                "Run the server and every site from images of the same version.",
            )

    def _fail(self, fl_ctx: FLContext, what: str, remedy: str) -> None:
        fail(self, fl_ctx, Finding(what, remedy, site=fl_ctx.get_identity_name()))
