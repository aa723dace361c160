"""NVFlare component of a parent that provides its telemetry; local/telemetry__p_resources.json names it.

Events: SYSTEM_BOOTSTRAP starts it. BEFORE_JOB_LAUNCH, JOB_ABORTED and JOB_COMPLETED report jobs. The view of
the server or the site gets every event.
"""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.widgets.widget import Widget

from fl_app.nvflare_internals.parents import ServerParent, parent_of
from fl_app.survival.history import listen
from fl_app.telemetry.endpoint import parent_endpoint
from fl_app.telemetry.parent_jobs import ParentJobs
from fl_app.telemetry.server_view import ServerView
from fl_app.telemetry.site_view import SiteView


class ParentTelemetry(Widget):
    """Report the state of its parent. An error here is logged and does not affect the parent."""

    def __init__(self) -> None:
        super().__init__()
        self._view: ServerView | SiteView | None = None
        self._jobs: ParentJobs | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Start at SYSTEM_BOOTSTRAP, then pass every event on."""
        try:
            if event_type == EventType.SYSTEM_BOOTSTRAP:
                self._start(fl_ctx)
            if self._view is not None:
                self._view.notice(event_type)
                self._follow_jobs(event_type, fl_ctx)
        except Exception:
            self.logger.exception("Telemetry: handling of the event %s failed", event_type)

    def _follow_jobs(self, event_type: str, fl_ctx: FLContext) -> None:
        assert self._view is not None
        assert self._jobs is not None
        if event_type == EventType.BEFORE_JOB_LAUNCH:
            meta = fl_ctx.get_prop(FLContextKey.JOB_META) or {}
            name = meta.get(JobMetaKey.JOB_NAME.value, "")
            self._jobs.launched(str(meta[JobMetaKey.JOB_ID.value]), str(name))
        elif event_type in (EventType.JOB_ABORTED, EventType.JOB_COMPLETED):
            data = fl_ctx.get_prop(FLContextKey.EVENT_DATA)  # set by the server, not by a site
            job_id = data.get(JobMetaKey.JOB_ID.value) if isinstance(data, dict) else None
            job_id = str(job_id or fl_ctx.get_prop(FLContextKey.CURRENT_JOB_ID))
            if result := self._view.result(job_id):
                self._jobs.ended(job_id, result)

    def _start(self, fl_ctx: FLContext) -> None:
        parent = parent_of(fl_ctx)
        if parent is None:
            return  # a server's job process, where NVFlare builds the same components
        is_server = isinstance(parent, ServerParent)
        endpoint = parent_endpoint(fl_ctx.get_identity_name(), "server" if is_server else "client")
        assert endpoint.identity is not None
        if isinstance(parent, ServerParent):
            listen(endpoint.interventions.add)
            self._view = ServerView(endpoint.identity, parent)
        else:
            self._view = SiteView(endpoint.identity, parent)
        self._jobs = endpoint.jobs
        self._jobs.running = self._view.running
        endpoint.view = self._view
