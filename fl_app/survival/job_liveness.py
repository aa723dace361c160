"""Who lives, as the server's process of a job knows it: by its own messages, and from its parent."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.nvflare_internals.liveness import GRACE_VARIABLE, ask_parent
from fl_app.survival.limits import LATE_SECONDS, duration, site_wait, survival_enabled

REFRESH_SECONDS = 5.0
"""Seconds between two questions to the parent; also the time to wait for an answer."""
PAUSE_SECONDS = 20.0
"""Time between two questions after which this process itself must have been suspended."""

_log = logging.getLogger(__name__)


class JobLiveness:
    """The time of the last sign of life of each site of a job.

    An idle site polls for tasks all the time. A site with a task sends heartbeats of its guard, and its
    parent vouches for it. If it never sent a heartbeat and no parent ever vouched, nothing is known about a
    site with a task, and it is not silent.

    Args:
        clock: monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._with_heartbeat: set[str] = set()
        self._with_task: set[str] = set()
        self._lives: dict[str, str] = {}
        self._refreshed: float | None = None

    def expect(self, sites: Iterable[str]) -> None:
        """Start to wait for these sites."""
        with self._lock:
            for site in sites:
                self._last.setdefault(site, self._clock())

    def polled(self, site: str) -> None:
        """Record that the site asked for a task."""
        with self._lock:
            self._last[site] = self._clock()

    def received(self, site: str, life: str = "") -> bool:
        """Record a heartbeat of the site's guard, and return whether it is the first of another job process.

        Args:
            life: name of the site's job process; a job process that is started again has another.
        """
        with self._lock:
            self._last[site] = self._clock()
            self._with_heartbeat.add(site)
            before, self._lives[site] = self._lives.get(site, life), life
            return before != life

    def assigned(self, site: str) -> None:
        """Record that the site has a task."""
        with self._lock:
            self._with_task.add(site)

    def returned(self, site: str) -> None:
        """Record that the site returned the result of its task."""
        with self._lock:
            self._last[site] = self._clock()
            self._with_task.discard(site)

    def vouched(self, ages: Mapping[str, float]) -> None:
        """Record for which sites their parents vouch, with the seconds since they did."""
        with self._lock:
            for site, age in ages.items():
                self._last[site] = max(self._last.get(site, 0.0), self._clock() - age)
                self._with_heartbeat.add(site)

    def silent(self, seconds: float) -> dict[str, float]:
        """Return the sites without a sign of life for more than `seconds`, each with its seconds."""
        with self._lock:
            now = self._clock()
            return {
                site: now - last
                for site, last in self._last.items()
                if now - last > seconds and (site in self._with_heartbeat or site not in self._with_task)
            }

    def silence(self, site: str) -> float | None:
        """Return the seconds since the last sign of life of a site; None if there was none yet."""
        with self._lock:
            last = self._last.get(site)
            return None if last is None else self._clock() - last

    def late(self) -> dict[str, float]:
        """Return the sites that are late, each with the seconds since its last sign of life."""
        return self.silent(LATE_SECONDS)

    def refresh(self, engine: Any) -> None:
        """Ask the parent. Without an answer, as while it is started again, the job's own messages count."""
        self._forgive_pause()
        try:
            self.vouched(ask_parent(engine, REFRESH_SECONDS))
        except Exception as error:  # the cell is not connected
            _log.debug("the server's parent does not answer: %s", error)

    def _forgive_pause(self) -> None:
        """Count from now if this process was suspended: the sites were not silent."""
        now = self._clock()
        with self._lock:
            if self._refreshed is not None and now - self._refreshed > PAUSE_SECONDS:
                self._last = dict.fromkeys(self._last, now)
            self._refreshed = now


def silence_text(seconds: float) -> str:
    """Return why the server waits for a site: `no sign of life for 2 min`."""
    return f"no sign of life for {duration(seconds - seconds % 60 if seconds >= 120 else seconds)}"


@cache
def job_liveness_of(engine: Any) -> JobLiveness:
    """Return what this process knows about the sites of its job.

    Args:
        engine: NVFlare's engine of the server's job process.
    """
    return JobLiveness()


class PatientJob:
    """Let NVFlare wait for a site as long as the guard does. Part of the server's job process.

    NVFlare deems a site disconnected a minute after its job process was reported missing, and ends a job that
    needs it; survival starts that process again.

    Events: START_RUN, before NVFlare reads the setting.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.START_RUN and survival_enabled():
            meta = fl_ctx.get_prop(FLContextKey.JOB_META)
            os.environ.setdefault(GRACE_VARIABLE, str(site_wait(meta)))
