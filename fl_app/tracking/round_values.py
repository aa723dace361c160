"""Values of rounds that a job does not log: metrics that sites return, and durations of rounds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from threading import Lock

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fl_app.telemetry.job_metrics import is_aborted, peer, returned_metrics
from fl_app.tracking.points import MAX_TAG, AnyPoint, ScalarPoint

DURATION = "round_duration_seconds"
"""Tag of the duration of a round, as the server's value; only of a job that has no other value."""
MAX_TAGS = 10_000
"""Tags of all sites that are noted: a site may log a new one in each step."""


class RoundValues:
    """Make points of what the server's job process sees of each round; the round, from 1, is the step.

    A metric that a site returned is a point when the site gets its next task, unless the site has logged a
    value of the same name by then: scripts log before or after they return a result.
    """

    events = frozenset(
        (
            EventType.AFTER_TASK_DATA_FILTER,
            EventType.BEFORE_PROCESS_SUBMISSION,
            AppEventType.ROUND_STARTED,
            AppEventType.ROUND_DONE,
            EventType.END_WORKFLOW,
            EventType.ABOUT_TO_END_RUN,
        )
    )
    """Events of NVFlare to handle."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._logged: set[tuple[str, str]] = set()
        """Site and tag of each value that the job logged."""
        self._sent: dict[str, int] = {}
        """Round of each site's current task, from 1."""
        self._returned: dict[str, tuple[int, Mapping[str, float]]] = {}
        self._steps: dict[tuple[str, str], int] = {}
        """Last step of each site and tag."""
        self._round: int | None = None
        self._round_start = 0.0
        self._has_values = False

    def logged(self, points: Iterable[AnyPoint]) -> None:
        """Note values that the job logs itself."""
        with self._lock:
            for point in points:
                self._has_values = True
                if len(self._logged) < MAX_TAGS:
                    self._logged.add((point.site, point.tag))

    def points(self, event_type: str, fl_ctx: FLContext) -> list[ScalarPoint]:
        """Handle one of `events`, and return the points that are known now."""
        with self._lock:
            return list(self._points(event_type, fl_ctx))

    def _points(self, event_type: str, fl_ctx: FLContext) -> Iterator[ScalarPoint]:
        site = peer(fl_ctx) or ""
        if event_type == EventType.AFTER_TASK_DATA_FILTER:
            yield from self._of_site(site)
            self._task_sent(site, fl_ctx.get_prop(FLContextKey.TASK_DATA))
        elif event_type == EventType.BEFORE_PROCESS_SUBMISSION and site in self._sent:
            if metrics := returned_metrics(fl_ctx.get_prop(FLContextKey.TASK_RESULT)):
                self._returned[site] = self._sent[site], metrics
                self._has_values = True
        elif event_type == AppEventType.ROUND_STARTED:
            yield from self._round_done(fl_ctx)
            self._round, self._round_start = fl_ctx.get_prop(AppConstants.CURRENT_ROUND), time.monotonic()
        elif event_type == EventType.ABOUT_TO_END_RUN:
            for name in list(self._returned):
                yield from self._of_site(name)
        else:
            yield from self._round_done(fl_ctx)

    def _task_sent(self, site: str, task: Shareable | None) -> None:
        number = task.get_header(AppConstants.CURRENT_ROUND) if task is not None else None
        if number is None:
            self._sent.pop(site, None)
        else:
            self._sent[site] = int(number) + 1

    def _of_site(self, site: str) -> Iterator[ScalarPoint]:
        number, metrics = self._returned.pop(site, (0, {}))
        for name, value in metrics.items():
            tag = name[:MAX_TAG]
            key = site, tag
            is_noted = key in self._steps or len(self._steps) < MAX_TAGS
            if tag and is_noted and key not in self._logged and self._steps.get(key) != number:
                self._steps[key] = number
                yield ScalarPoint(site=site, tag=tag, step=number, time=time.time(), value=value)

    def _round_done(self, fl_ctx: FLContext) -> Iterator[ScalarPoint]:
        number, self._round = self._round, None
        if number is not None and not self._has_values and not is_aborted(fl_ctx):
            seconds = time.monotonic() - self._round_start
            yield ScalarPoint(tag=DURATION, step=int(number) + 1, time=time.time(), value=seconds)
