"""What the server's parent asks the process of a job: whether it is ending, and which sites ask for tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext

from fl_app.contract import PENDING_SITES_ID
from fl_app.guard.context import sender_of
from fl_app.nvflare_internals.parent_messages import answer_in_job, ask_job
from fl_app.nvflare_internals.server_jobs import sync_sites
from fl_app.nvflare_internals.site_jobs import SYNC_SITES

STATUS = "flarefleet.survival.status"
_ASK_SECONDS = 3.0


class JobStatus:
    """Answer the server's parent. Part of the server's process of a job.

    Events: START_RUN starts it; ABOUT_TO_END_RUN is the end of the job. BEFORE_PROCESS_TASK_REQUEST,
    BEFORE_TASK_DATA_FILTER and BEFORE_PROCESS_SUBMISSION show what a site does.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._is_ending = False
        self._asked: dict[str, float] = {}
        self._working: set[str] = set()
        self._first: float | None = None
        self._pods: Any = None
        self._pending: dict[str, float] = {}
        """When the job pod of a site was last pending."""
        self._lock = threading.Lock()

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.START_RUN:
            engine = fl_ctx.get_engine()
            self._pods = engine.get_component(PENDING_SITES_ID)
            answer_in_job(engine, STATUS, lambda: self.answer(client.name for client in engine.get_clients()))
            answer_in_job(engine, SYNC_SITES, lambda: _sync(engine))
        elif event_type == EventType.ABOUT_TO_END_RUN:
            self._is_ending = True
        elif event_type == EventType.BEFORE_TASK_DATA_FILTER:
            self._saw(sender_of(fl_ctx), works=True)
        elif event_type in (EventType.BEFORE_PROCESS_TASK_REQUEST, EventType.BEFORE_PROCESS_SUBMISSION):
            self._saw(sender_of(fl_ctx), works=False)

    def answer(self, sites: Any) -> dict[str, Any]:
        """Return the answer for these sites of the job; see `ask_status`."""
        with self._lock:
            now = self._clock()
            self._pending |= dict.fromkeys(self._pods.pending(now) if self._pods else (), now)
            last = max(self._asked.values(), default=0.0)
            since = {
                site: max(self._asked.get(site, self._first or last), self._pending.get(site, 0.0))
                for site in sites
                if site not in self._working
            }
            idle = {site: max(last - start, 0.0) for site, start in since.items()}
            asked = {site: now - time for site, time in self._asked.items()}
            return {"ending": self._is_ending, "asked": asked, "idle": idle}

    def _saw(self, site: str, works: bool) -> None:
        with self._lock:
            self._asked[site] = now = self._clock()
            self._first = self._first or now
            (self._working.add if works else self._working.discard)(site)


class StatusOfJob:
    """The answer of a job's process.

    Args:
        document: the answer.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.is_ending = bool(document.get("ending"))
        """Whether no further task will be given to a site."""
        self.asked: Mapping[str, float] = document.get("asked") or {}
        """Seconds since each site that has asked this process for a task did so last."""
        self.idle: Mapping[str, float] = document.get("idle") or {}
        """For each site that has no task: seconds from its last request for one to the last of any site.

        The time until its job pod runs does not count. While this process answers no site, as during a long
        aggregation, nothing is known about any.
        """


def ask_status(engine: Any, job_id: str) -> StatusOfJob | None:
    """Ask the server's process of a job from the server's parent; None while it does not answer."""
    document = ask_job(engine, job_id, STATUS, _ASK_SECONDS)
    return None if document is None else StatusOfJob(document)


def _sync(engine: Any) -> dict[str, Any]:
    sync_sites(engine)
    return {"synced": True}
