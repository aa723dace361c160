"""The job processes: what any site logs goes to the server's parent. Loaded beside every job by privacy.json.

Events: `fed.analytix_log_stats` (a site logged something), `analytix_log_stats` (the server itself did),
START_RUN, END_RUN.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE
from nvflare.apis.dxo import from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable
from nvflare.app_common.widgets.convert_to_fed_event import ConvertToFedEvent
from nvflare.widgets.widget import Widget

from fl_app.telemetry.logged import FED_ANALYTICS, site_that_logged
from fl_app.telemetry.push import job_pusher
from fl_app.tracking.outbox import AnalyticsOutbox
from fl_app.tracking.reading import points_of

FLUSH_SECONDS = 5.0
"""At most so long does a job's end wait for its last points to reach the parent; usually milliseconds."""


class JobAnalytics(Widget):
    """Hands on what is logged. It watches and never harms: whatever fails here is counted and said once.

    In a site's job process NVFlare's ConvertToFedEvent sends what is logged there to the server. Most recipes
    bring it; where a job does not (NVFlare's CyclicRecipe), it is added: nothing logged would leave the site.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outbox: AnalyticsOutbox | None = None
        self._unreadable = 0
        self._log = logging.getLogger(type(self).__name__)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Follow the job."""
        try:
            if event_type in (FED_ANALYTICS, ANALYTIC_EVENT_TYPE):
                self._received(fl_ctx)
            elif event_type == EventType.START_RUN:
                self._begin(fl_ctx)
        except Exception as error:  # a job is worth more than its curves
            self._unreadable += 1
            if self._unreadable == 1:
                self._log.warning("analytics: a logged value is not kept: %s", error)

    def _begin(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        if not isinstance(engine, ServerEngineSpec):
            if not any(map(_sends_analytics, engine.handlers)):
                engine.add_handler(ConvertToFedEvent([ANALYTIC_EVENT_TYPE]))
            return
        pusher = job_pusher()
        if pusher is None:
            return
        meta = fl_ctx.get_prop(FLContextKey.JOB_META) or {}
        self._outbox = AnalyticsOutbox(str(meta.get(JobMetaKey.JOB_NAME.value, ""))[:256])
        pusher.attach(self._outbox)
        # Behind NVFlare's FedEventRunner, which at END_RUN still hands out what sites logged last.
        engine.run_manager.add_handler(_Last(self._end))

    def _received(self, fl_ctx: FLContext) -> None:
        event: Any = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        if self._outbox is None or not isinstance(event, Shareable):
            return
        self._outbox.put(points_of(from_shareable(event), site_that_logged(fl_ctx), time.time()))

    def _end(self) -> None:
        pusher = job_pusher()
        if self._outbox is None or pusher is None:
            return
        pusher.flush(FLUSH_SECONDS)
        if len(self._outbox) or self._outbox.dropped:
            self._log.error(
                "analytics: %d values of this job did not reach the server's volume: its parent did not take "
                "them",
                len(self._outbox) + self._outbox.dropped,
            )


def _sends_analytics(handler: FLComponent) -> bool:
    return isinstance(handler, ConvertToFedEvent) and ANALYTIC_EVENT_TYPE in handler.events_to_convert


class _Last(FLComponent):
    """Does one thing when the run ends, after every handler that was there before it."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__()
        self._action = action

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Wait for END_RUN."""
        if event_type == EventType.END_RUN:
            self._action()
