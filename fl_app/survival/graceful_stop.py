"""Stop of a parent by SIGTERM: a site logs out, so that the server knows at once.

A server has nothing to say: it exits without telling anything to its sites, whose job processes wait for it,
and the watchdog of the next parent adopts the jobs with the participants that it saves whenever they change.
"""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext

from fl_app.nvflare_internals.site_registration import log_out
from fl_app.survival.stopping import before_exit


class Goodbye:
    """Log out of the server when the site's parent is told to stop. Part of a site's parent.

    Events: AFTER_CLIENT_REGISTER adds the step.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.AFTER_CLIENT_REGISTER:
            engine = fl_ctx.get_engine()
            before_exit(lambda: log_out(engine))
