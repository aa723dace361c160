"""A site's part of a Flower job: NVFlare's executor, which says in words why it cannot."""

from __future__ import annotations

from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_opt.flower.executor import FlowerExecutor

from fl_app.flower.environment import REMEDY, installed, what_is_wrong
from fl_app.flower.processes import SuperNode, app_folder
from fl_app.guard import Finding, report

MESSAGE_TIMEOUT = 60.0
"""Seconds for one try to get a message through."""
TRANSACTION_TIMEOUT = 600.0
"""Seconds for all tries; afterwards the SuperNode ends. A busy machine, or a large model, takes its time."""


class FlowerSite(FlowerExecutor):
    """Runs a SuperNode, and ClientApps that the site's own image has.

    Args:
        app: the Python package whose folder is the app, as `flwr run` takes it.
    """

    def __init__(self, *, app: str) -> None:
        super().__init__(per_msg_timeout=MESSAGE_TIMEOUT, tx_timeout=TRANSACTION_TIMEOUT)
        self.app = app
        self._wrong = ""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Begin, unless there is no Flower to begin with."""
        if event_type == EventType.START_RUN:
            self._wrong = what_is_wrong(installed())
            if self._wrong:
                self._end(fl_ctx, self._wrong, REMEDY)
        if not self._wrong:
            super().handle_event(event_type, fl_ctx)

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Do what the server's controller asks, if there is a Flower to do it."""
        if self._wrong:
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        return super().execute(task_name, shareable, fl_ctx, abort_signal)

    def get_connector(self, fl_ctx: FLContext) -> Any:
        """The bridge from the SuperNode to the server."""
        from fl_app.flower.connectors import SiteConnector

        return SiteConnector(
            app_folder(self.app),
            self._refuse,
            int_server_grpc_options=self.int_server_grpc_options,
            per_msg_timeout=self.per_msg_timeout,
            tx_timeout=self.tx_timeout,
        )

    def get_applet(self, fl_ctx: FLContext) -> SuperNode:
        """The SuperNode."""
        return SuperNode(extra_env=self.extra_env)

    def _refuse(self, differing: str) -> None:
        with self.engine.new_context() as fl_ctx:
            self._end(
                fl_ctx,
                f"the server sent another Flower app than this site has: {differing} differs",
                "Run the server and every site from images of one version.",
            )

    def _end(self, fl_ctx: FLContext, what: str, remedy: str) -> None:
        """End the job, by the guard or, where there is none, by NVFlare's panic alone."""
        finding = Finding(what=what, remedy=remedy, site=fl_ctx.get_identity_name())
        report(fl_ctx, finding)
        self.system_panic(finding.line, fl_ctx)
