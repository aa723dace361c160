"""The owner of liveness: the server's parent knows which site lives, and why it thinks so.

- A heartbeat of a site's parent, every ten seconds, is a sign of life of the site. It lists the jobs whose
  process or pod runs there: the parent vouches for these, even if a training holds Python's lock.
- The server's job processes ask (`fl_app.survival.job_liveness`), and know their own messages besides.
- The limits are in `fl_app.survival.limits`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext

from fl_app.nvflare_internals.liveness import answer_job_processes, follow_heartbeats, last_contacts
from fl_app.survival.limits import LATE_SECONDS


class Liveness:
    """Who lives, as the server's parent knows it. It remembers sites that NVFlare has logged out.

    Args:
        contacts: returns the time of the last contact with each registered site, in seconds since 1970.
        clock: current time, in seconds since 1970.
    """

    def __init__(
        self, contacts: Callable[[], Mapping[str, float]], clock: Callable[[], float] = time.time
    ) -> None:
        self._contacts = contacts
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._vouched: dict[tuple[str, str], float] = {}
        """Time of the last heartbeat that lists a job, by site and job."""

    def heartbeat(self, site: str, jobs: Collection[str]) -> None:
        """Record a heartbeat of a site's parent, and the jobs that run there."""
        now = self._clock()
        with self._lock:
            self._last[site] = now
            for key in [key for key in self._vouched if key[0] == site and key[1] not in jobs]:
                del self._vouched[key]
            self._vouched |= {(site, job): now for job in jobs}

    def last_signs(self) -> Mapping[str, float]:
        """Return the time of the last sign of life of each site since the start, in seconds since 1970."""
        contacts = self._contacts()
        with self._lock:
            for site, last in contacts.items():
                self._last[site] = max(last, self._last.get(site, 0.0))
            return dict(self._last)

    def present(self) -> frozenset[str]:
        """Return the registered sites that are not late."""
        return frozenset(self._contacts()) - self.late().keys()

    def late(self) -> Mapping[str, float]:
        """Return the sites that are late, each with the time of its last sign of life."""
        now = self._clock()
        return {site: last for site, last in self.last_signs().items() if now - last > LATE_SECONDS}

    def vouched(self, job: str, sites: Collection[str]) -> Mapping[str, float]:
        """Return the sites whose parent vouches for their part of a job, with the seconds since it did."""
        now = self._clock()
        with self._lock:
            return {site: now - last for site in sites if (last := self._vouched.get((site, job)))}


@cache
def liveness_of(engine: Any) -> Liveness:
    """Return the one owner of liveness of a server's parent.

    Args:
        engine: NVFlare's engine of the server's parent.
    """
    return Liveness(partial(last_contacts, engine))


class ServerLiveness:
    """Follow heartbeats, and answer job processes. Part of the server's parent.

    Events: SYSTEM_BOOTSTRAP starts it.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            engine = fl_ctx.get_engine()
            owner = liveness_of(engine)
            follow_heartbeats(engine, owner.heartbeat)
            answer_job_processes(engine, owner.vouched)
