"""The server's parent: takes what its jobs push, keeps it as event files, and queues it for MLflow and W&B.

Events: SYSTEM_BOOTSTRAP begins; JOB_COMPLETED says how a job ended; SYSTEM_END closes the files. In a site's
parent, and in job processes, it does nothing.
"""

from __future__ import annotations

import os
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.private.fed.server.fed_server import FederatedServer
from nvflare.widgets.widget import Widget

from fl_app.startup.facts import KitFacts
from fl_app.startup.settings import Settings
from fl_app.telemetry.endpoint import open_endpoint
from fl_app.tracking.metrics import TrackingCollector
from fl_app.tracking.receivers import WrongTracking, wanted_receivers
from fl_app.tracking.retention import Retention
from fl_app.tracking.storage import AnalyticsKeeper


class ParentAnalytics(Widget):
    """Begins and ends with the server. Whatever fails here is logged and leaves the parent alone."""

    def __init__(self) -> None:
        super().__init__()
        self._keeper: AnalyticsKeeper | None = None
        self._retention: Retention | None = None
        self._server: Any = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Follow the server and its jobs."""
        try:
            if event_type == EventType.SYSTEM_BOOTSTRAP:
                self._begin(fl_ctx)
            elif self._keeper is None:
                return
            elif event_type == EventType.JOB_COMPLETED:
                job_id = str(fl_ctx.get_prop(FLContextKey.CURRENT_JOB_ID))
                self._keeper.end(job_id, self._status(job_id) or "FINISHED")
            elif event_type == EventType.SYSTEM_END:
                self._close()
        except Exception:
            self.logger.exception("Analytics: %s went wrong", event_type)

    def _begin(self, fl_ctx: FLContext) -> None:
        self._server = fl_ctx.get_prop(FLContextKey.SITE_OBJ)
        if not isinstance(self._server, FederatedServer):
            return
        settings = Settings.read(os.environ)
        facts = KitFacts.read(settings.workspace)
        endpoint = open_endpoint(settings.telemetry_host, settings.telemetry_port)
        try:
            receivers = wanted_receivers(os.environ)
        except WrongTracking as error:
            self.logger.warning("Nothing is passed on: %s", error)
            receivers = ()
        self._keeper = AnalyticsKeeper(
            settings.workspace, facts.project, facts.server.name, receivers, self._ended_status
        )
        endpoint.intake.register(self._keeper)
        self._retention = Retention(
            self._keeper.folder, self._status, self._keeper.forget, settings.analytics_keep_days
        )
        self._retention.start()
        if receivers and endpoint.identity is not None:
            endpoint.registry.register(TrackingCollector(endpoint.identity, self._keeper.queue))

    def _close(self) -> None:
        assert self._keeper is not None
        self._keeper.close()
        if self._retention is not None:
            self._retention.close()

    def _status(self, job_id: str) -> str | None:
        """NVFlare's status of a job; None if its store does not have it."""
        engine = self._server.engine
        if engine.job_def_manager is None:
            return ""
        with engine.new_context() as context:
            job = engine.job_def_manager.get_job(job_id, context)
        if job is None:
            return None
        status = job.meta.get(JobMetaKey.STATUS.value)
        return str(getattr(status, "value", status))

    def _ended_status(self, job_id: str) -> str:
        """How a job ended; empty while it has not. A job that was deleted has ended."""
        status = self._status(job_id)
        if status is None:
            return "FINISHED:DELETED"
        return status if status.startswith("FINISHED") else ""
