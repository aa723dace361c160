"""NVFlare component of the server's parent that stores what jobs log, and sends it to MLflow and W&B.

Events: SYSTEM_BOOTSTRAP starts it; JOB_COMPLETED ends a job; SYSTEM_END closes the files. It does nothing in
a site's parent and in job processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import RunStatus
from nvflare.widgets.widget import Widget
from prometheus_client.core import Metric

from fl_app.contract import ENV_ANALYTICS_KEEP_DAYS, SITE_LOGS_FOLDER
from fl_app.nvflare_internals.parents import ServerParent, parent_of
from fl_app.survival.history import listen
from fl_app.telemetry.endpoint import parent_endpoint
from fl_app.telemetry.metrics import ParentIdentity, family_of
from fl_app.tracking.queue import TrackingQueue
from fl_app.tracking.receivers import TrackingSettingsError, requested_receivers
from fl_app.tracking.retention import Retention
from fl_app.tracking.storage import AnalyticsStorage


class ParentAnalytics(Widget):
    """Run as long as the server. An error here is logged and does not affect the parent."""

    def __init__(self) -> None:
        super().__init__()
        self._storage: AnalyticsStorage | None = None
        self._retentions: tuple[Retention, ...] = ()
        self._status: Callable[[str], str | None] = lambda job_id: ""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        try:
            if event_type == EventType.SYSTEM_BOOTSTRAP:
                self._start(fl_ctx)
            elif self._storage is None:
                return
            elif event_type == EventType.JOB_COMPLETED:
                job_id = str(fl_ctx.get_prop(FLContextKey.CURRENT_JOB_ID))
                status = self._status(job_id) or "FINISHED"
                if status != RunStatus.SUBMITTED.value:  # a killed job that runs again
                    self._storage.end(job_id, status)
            elif event_type == EventType.SYSTEM_END:
                self._close()
        except Exception:
            self.logger.exception("Analytics: handling of the event %s failed", event_type)

    def _start(self, fl_ctx: FLContext) -> None:
        server = parent_of(fl_ctx)
        if not isinstance(server, ServerParent):
            return
        self._status = server.job_status
        endpoint = parent_endpoint(fl_ctx.get_identity_name(), "server")
        assert endpoint.identity is not None
        try:
            receivers = requested_receivers(os.environ)
        except TrackingSettingsError as error:
            self.logger.warning("Tracking: nothing is sent to trackers: %s", error)
            receivers = ()
        workspace = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir())
        identity = endpoint.identity
        self._storage = AnalyticsStorage(
            *(workspace, identity.project, identity.name, receivers),
            ended_status=lambda job_id: _ended(server.job_status(job_id)),
            sites_of=server.job_sites,
        )
        endpoint.gateway.register(self._storage)
        storage = self._storage
        listen(lambda job_id, intervention: storage.interrupted(job_id))
        if self._storage.queues:
            endpoint.registry.register(_TrackingCollector(identity, self._storage.queues))
        days = os.environ.get(ENV_ANALYTICS_KEEP_DAYS)
        keep_days = float(days) if days else None
        self._retentions = (
            Retention(self._storage.folder, server.job_status, keep_days),
            Retention(workspace / SITE_LOGS_FOLDER, server.job_status, keep_days, "logs of sites"),
        )
        for retention in self._retentions:
            retention.start()

    def _close(self) -> None:
        assert self._storage is not None
        self._storage.close()
        for retention in self._retentions:
            retention.close()


class _TrackingCollector:
    """Collect the metrics of tracking at every scrape."""

    def __init__(self, identity: ParentIdentity, queues: Sequence[TrackingQueue]) -> None:
        self._identity = identity
        self._queues = queues

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        states = {(*self._identity.labels, queue.receiver): queue.state() for queue in self._queues}
        yield family_of("tracking_backlog", {labels: state.backlog for labels, state in states.items()})
        yield family_of("tracking_sent_total", {labels: state.sent for labels, state in states.items()})
        yield family_of("tracking_failed_total", {labels: state.failed for labels, state in states.items()})


def _ended(status: str | None) -> str:
    """Return the status of a job if it has ended, "" if it has not. A deleted job has ended."""
    if status is None:
        return "FINISHED:DELETED"
    return status if status.startswith("FINISHED") else ""
