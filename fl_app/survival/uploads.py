"""Results that take long to upload, and a full volume. Part of a site's process of a job."""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext

from fl_app.nvflare_internals.audit_log import wait_for_space
from fl_app.nvflare_internals.result_upload import wait_for_uploads


class Uploads:
    """Let the site wait for the reply to its result while the server still downloads it, and for disk space.

    Events: START_RUN.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.START_RUN:
            wait_for_uploads(fl_ctx.get_engine())
            wait_for_space()
