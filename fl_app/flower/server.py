"""The server's part of a Flower job: NVFlare's controller, which says in words why the job ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.tie.defs import Constant
from nvflare.app_opt.flower.controller import FlowerController

from fl_app.flower.environment import REMEDY, installed, what_is_wrong
from fl_app.flower.processes import SERVER_APP_LOG, SuperLink
from fl_app.guard import Finding, report

STATUS_INTERVAL = 5.0
"""Seconds between two questions to the SuperLink whether the run has ended; each starts a program."""
READY_TIMEOUT = 60.0
TASK_TIMEOUT = 60
"""Seconds in which every site must have started its SuperNode."""

_RAISED = re.compile(r"^(?P<error>\w[\w.]*(?:Error|Exception|Failed|Exit)\b.*)$", re.MULTILINE)


class FlowerServer(FlowerController):
    """Runs a Flower app that the image has.

    Every argument is spelled out: NVFlare's export drops those of a subclass that are not.

    Args:
        app: the Python package whose folder is the app, as `flwr run` takes it.
        run_config: what the app's configuration gets instead of its own values.
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
        self._wrong = ""
        self._superlink: SuperLink | None = None

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Begin, unless there is no Flower to begin with."""
        self._wrong = what_is_wrong(installed())
        if self._wrong:
            self._end(fl_ctx, Finding(what=self._wrong, remedy=REMEDY, site="server"))
        else:
            super().start_controller(fl_ctx)

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the app, if there is a Flower to run it."""
        if not self._wrong:
            super().control_flow(abort_signal, fl_ctx)

    def get_connector(self, fl_ctx: FLContext) -> Any:
        """The bridge to the SuperLink."""
        from fl_app.flower.connectors import ServerConnector

        return ServerConnector(
            self._client_app_failed,
            int_client_grpc_options=self.int_client_grpc_options,
            monitor_interval=self.monitor_interval,
        )

    def get_applet(self, fl_ctx: FLContext) -> SuperLink:
        """The SuperLink."""
        self._superlink = SuperLink(
            self.app,
            database=self.database,
            superlink_ready_timeout=self.superlink_ready_timeout,
            superlink_grace_period=self.superlink_grace_period,
            superlink_min_query_interval=self.superlink_min_query_interval,
            run_config=self.run_config,
        )
        return self._superlink

    def _client_app_failed(self, fl_ctx: FLContext, reason: str) -> None:
        site = fl_ctx.get_peer_context().get_identity_name()
        self._end(
            fl_ctx,
            Finding(
                what=f"the ClientApp raised {reason}",
                remedy=f"Its traceback is in {site}'s log, in lines of FLWR-CA.",
                site=site,
            ),
        )

    def _process_client_done(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        """End the job if a SuperNode has ended before the ServerApp.

        NVFlare would take its site for done, and the job for completed once all are, with nothing trained.
        """
        if not self._ends_anyway():
            site = fl_ctx.get_peer_context().get_identity_name()
            code = request.get(Constant.MSG_KEY_EXIT_CODE)
            finding = Finding(
                what=f"its SuperNode ended (exit code {code}) before the ServerApp did",
                remedy=f"See {site}'s log, lines of FLWR-CA and ReliableMessage, and submit the job again.",
                site=site,
            )
            self._end(fl_ctx, finding)
        return super()._process_client_done(topic, request, fl_ctx)

    def _ends_anyway(self) -> bool:
        """Whether the run has finished, which sites are told before this controller is, or the job ends."""
        finished = self._superlink is not None and self._superlink.flower_run_finished
        return finished or (self.abort_signal is not None and self.abort_signal.triggered)

    def _app_stopped(self, rc: int, fl_ctx: FLContext) -> None:
        """Say why the ServerApp failed; NVFlare would say `rc=103`."""
        if rc:
            log = Path(self._engine.get_workspace().get_run_dir(fl_ctx.get_job_id()), SERVER_APP_LOG)
            finding = Finding(
                what=f"the ServerApp failed: {last_exception(log) or f'exit code {rc}'}",
                remedy="Its traceback is in server_app_log.txt of its results.",
                site="server",
            )
            with self._engine.new_context() as new_ctx:
                self._end(new_ctx, finding)
        super()._app_stopped(rc, fl_ctx)

    def _end(self, fl_ctx: FLContext, finding: Finding) -> None:
        """End the job, by the guard or, where there is none, by NVFlare's panic alone."""
        report(fl_ctx, finding)
        self.system_panic(finding.line, fl_ctx)


def last_exception(log: Path) -> str:
    """The last line of a log that names an exception, as Python ends a traceback; empty without one."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = [match["error"].strip() for match in _RAISED.finditer(text)]
    return found[-1] if found else ""
