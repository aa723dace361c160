"""NVFlare's component that shows a parent on the telemetry port: local/telemetry__p_resources.json names it.

Events: SYSTEM_BOOTSTRAP begins the view of the server or the site; all others are passed on to it.
BEFORE_JOB_LAUNCH, JOB_ABORTED and JOB_COMPLETED say which jobs there are.
"""

from __future__ import annotations

import os

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.private.fed.client.fed_client import FederatedClient
from nvflare.private.fed.server.fed_server import FederatedServer
from nvflare.widgets.widget import Widget

from fl_app.startup.settings import Settings
from fl_app.telemetry.endpoint import open_endpoint
from fl_app.telemetry.metrics import Identity
from fl_app.telemetry.roster import Roster
from fl_app.telemetry.server_view import ServerView
from fl_app.telemetry.site_view import SiteView


class ParentTelemetry(Widget):
    """Shows the parent that it is in. Whatever fails here is logged and leaves the parent alone."""

    def __init__(self) -> None:
        super().__init__()
        self._view: ServerView | SiteView | None = None
        self._roster: Roster | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Begin with SYSTEM_BOOTSTRAP, then pass every event on."""
        try:
            if event_type == EventType.SYSTEM_BOOTSTRAP:
                self._begin(fl_ctx)
            if self._view is not None:
                self._view.notice(event_type)
                self._follow_jobs(event_type, fl_ctx)
        except Exception:
            self.logger.exception("Telemetry: %s went wrong", event_type)

    def _follow_jobs(self, event_type: str, fl_ctx: FLContext) -> None:
        assert self._view is not None
        assert self._roster is not None
        if event_type == EventType.BEFORE_JOB_LAUNCH:
            meta = fl_ctx.get_prop(FLContextKey.JOB_META) or {}
            name = meta.get(JobMetaKey.JOB_NAME.value, "")
            self._roster.launched(str(meta[JobMetaKey.JOB_ID.value]), str(name))
        elif event_type in (EventType.JOB_ABORTED, EventType.JOB_COMPLETED):
            said = fl_ctx.get_prop(FLContextKey.EVENT_DATA)  # by the server; a site says it otherwise
            by_server = said.get(JobMetaKey.JOB_ID.value) if isinstance(said, dict) else None
            job_id = str(by_server or fl_ctx.get_prop(FLContextKey.CURRENT_JOB_ID))
            self._roster.ended(job_id, self._view.result(job_id))

    def _begin(self, fl_ctx: FLContext) -> None:
        parent = fl_ctx.get_prop(FLContextKey.SITE_OBJ)
        if not isinstance(parent, FederatedServer | FederatedClient):
            return  # a job process: NVFlare builds a server's components there too
        settings = Settings.read(os.environ)
        endpoint = open_endpoint(settings.telemetry_host, settings.telemetry_port, settings.push_host)
        if endpoint.identity is None:  # NVFlare was started without the kit's start-up
            role = "server" if isinstance(parent, FederatedServer) else "client"
            endpoint.identify(Identity(fl_ctx.get_identity_name(), role), kept=settings.metrics_kept)
        assert endpoint.identity is not None
        if isinstance(parent, FederatedServer):
            self._view = ServerView(endpoint.identity, parent)
        else:
            self._view = SiteView(endpoint.identity, parent, fl_ctx.get_engine())
        self._roster = endpoint.roster
        self._roster.running = self._view.running
        endpoint.view = self._view
