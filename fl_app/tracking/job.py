"""NVFlare component of every job process that pushes logged values to the server's parent.

The site's privacy.json loads it.

Events: `fed.analytix_log_stats` (a site logged something), `analytix_log_stats` (the server itself did),
START_RUN, ABOUT_TO_END_RUN, END_RUN, and those of `round_values`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
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

from fl_app.guard.finding import Finding, report
from fl_app.telemetry.analytics_events import FED_ANALYTICS, site_that_logged
from fl_app.telemetry.end_of_run import AtEndOfRun
from fl_app.telemetry.push import job_pusher
from fl_app.tracking.event_files import EventFiles
from fl_app.tracking.outbox import AnalyticsOutbox
from fl_app.tracking.points import AnyPoint
from fl_app.tracking.reading import points_of
from fl_app.tracking.round_values import RoundValues

FLUSH_SECONDS = 5.0
"""Maximum time for which the end of a job waits until its last values are pushed; usually milliseconds."""
SERVER = "server"
"""Folder of the server's event files in a simulation."""
LOST_VALUES = "tracking_lost_values"
"""Rule of the guard."""


class JobAnalytics(Widget):
    """Push logged values. Only the first error is logged; errors do not affect the job.

    In a site's job process, NVFlare's ConvertToFedEvent sends logged values to the server. Most recipes add
    it; if a job lacks it (NVFlare's CyclicRecipe), this component adds it.

    Args:
        folder: folder in the server's run folder to write event files to: in a simulation, no parent does.
    """

    def __init__(self, folder: str = "") -> None:
        super().__init__()
        self.folder = folder
        self._outbox: AnalyticsOutbox | None = None
        self._files: EventFiles | None = None
        self._rounds = RoundValues()
        self._unreadable = 0
        self._has_reported = False
        self._log = logging.getLogger(type(self).__name__)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type in RoundValues.events and (self._outbox is not None or self._files is not None):
            self._put_values_of_rounds(event_type, fl_ctx)
        try:
            if event_type in (FED_ANALYTICS, ANALYTIC_EVENT_TYPE):
                self._received(fl_ctx)
            elif event_type == EventType.START_RUN:
                self._start(fl_ctx)
            elif event_type == EventType.ABOUT_TO_END_RUN:
                self._flush(fl_ctx)  # the guard accepts findings until END_RUN
        except Exception as error:  # an error of tracking must not affect the job
            self._unreadable += 1
            if self._unreadable == 1:
                self._log.warning("Analytics: a logged value cannot be read and is dropped: %s", error)

    def _put_values_of_rounds(self, event_type: str, fl_ctx: FLContext) -> None:
        try:
            self._put(self._rounds.points(event_type, fl_ctx))
        except Exception as error:  # an error of tracking must not affect the job
            self._unreadable += 1
            if self._unreadable == 1:
                self._log.warning("Analytics: the metrics of a round cannot be read: %s", error)

    def _start(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        if not isinstance(engine, ServerEngineSpec):
            if not any(map(_sends_analytics, engine.handlers)):
                engine.add_handler(ConvertToFedEvent([ANALYTIC_EVENT_TYPE]))
            return
        if self.folder and find_spec("tensorboard") is not None:
            workspace, job_id = engine.get_workspace(), fl_ctx.get_job_id()
            self._files = EventFiles(Path(workspace.get_result_root(job_id)), server=SERVER)
        pusher = job_pusher()
        if pusher is None:
            return
        meta = fl_ctx.get_prop(FLContextKey.JOB_META) or {}
        self._outbox = AnalyticsOutbox(str(meta.get(JobMetaKey.JOB_NAME.value, ""))[:256])
        pusher.attach(self._outbox)
        engine.run_manager.add_handler(AtEndOfRun(lambda context: self._flush(context, is_last=True)))

    def _received(self, fl_ctx: FLContext) -> None:
        event: Any = fl_ctx.get_prop(FLContextKey.EVENT_DATA)
        if not isinstance(event, Shareable):
            return
        points = list(points_of(from_shareable(event), site_that_logged(fl_ctx), time.time()))
        self._rounds.logged(points)
        self._put(points)

    def _put(self, points: Sequence[AnyPoint]) -> None:
        if self._outbox is not None:
            self._outbox.put(points)
        if self._files is not None and points:
            self._files.write(self.folder, points)

    def _flush(self, fl_ctx: FLContext, *, is_last: bool = False) -> None:
        """Push all values, and report once if values were lost; after the last push, the rest is lost."""
        pusher = job_pusher()
        if self._outbox is None or pusher is None:
            return
        self._outbox.end()
        pusher.flush(FLUSH_SECONDS)
        if self._has_reported or not (what := self._lost(self._outbox, is_last)):
            return
        self._has_reported = True
        self._log.error("Analytics: %s", what)
        remedy = "Read the log of the server, which names the tracker and the reason."
        report(fl_ctx, Finding(what, remedy, site="server", key="tracking", rule=LOST_VALUES))

    def _lost(self, outbox: AnalyticsOutbox, is_last: bool) -> str:
        lost = outbox.dropped + self._unreadable + (len(outbox) if is_last else 0)
        if lost:
            return f"{lost} logged values are lost: they are invalid, or the server did not accept them"
        return "TensorBoard or a tracker lost logged values of this job" if outbox.is_incomplete else ""


def _sends_analytics(handler: FLComponent) -> bool:
    return isinstance(handler, ConvertToFedEvent) and ANALYTIC_EVENT_TYPE in handler.events_to_convert
