"""Log out sites that are silent: NVFlare waits ten minutes, and schedules jobs on a lost site meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from fl_app.nvflare_internals.server_jobs import ServerJobs
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.limits import LATE_SECONDS, LOGGED_OUT_SECONDS
from fl_app.survival.liveness import liveness_of

MAX_PAUSE_SECONDS = 5.0
"""If this process itself was suspended for longer, the sites were not silent."""

REPORT_SECONDS = LATE_SECONDS
"""Time in which a site reports the end of a job that its heartbeats do not list; NVFlare waits 900 s."""

_log = logging.getLogger(__name__)


class SilentSites:
    """Watch the heartbeats of all sites.

    Args:
        engine: NVFlare's engine of the server's parent.
        clock: seconds since 1970.
    """

    def __init__(self, engine: Any, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._jobs = ServerJobs(engine)
        self._jobs.restore_properties()
        self._last_check = self._not_before = clock()
        self._ended: dict[tuple[str, str], float] = {}
        """Since when a job that has ended on the server does not run at a site whose report is awaited."""

    def check(self) -> None:
        """Log out the sites that are silent, and do not wait for a report that will not come."""
        now = self._clock()
        if now - self._last_check > MAX_PAUSE_SECONDS:
            self._not_before = now + LOGGED_OUT_SECONDS
        self._last_check = now
        if now >= self._not_before:
            for participant, last in self._jobs.last_contacts():
                if now - last > LOGGED_OUT_SECONDS:
                    self._log_out(participant.name, participant.token, now - last)
        self._end_waits(now)

    def _end_waits(self, now: float) -> None:
        """Do not wait for the report of a site that is gone, or that has ended its part of the job."""
        awaited = {(job, site) for job, sites in self._jobs.awaited().items() for site in sites}
        self._ended = {key: since for key, since in self._ended.items() if key in awaited}
        for job_id, site in awaited:
            # A site that is logged out vouches for nothing, whatever its last heartbeat said.
            is_registered = self._jobs.registered(site) is not None
            if is_registered and liveness_of(self._engine).vouched(job_id, [site]):
                self._ended.pop((job_id, site), None)
                continue
            seconds = now - self._ended.setdefault((job_id, site), now)
            if not is_registered or seconds > REPORT_SECONDS:
                why = "does not run it any longer" if is_registered else "is gone"
                _log.warning("job %s ends without a report of %s, which %s", job_id, site, why)
                self._jobs.ignore_outcome(job_id, site)

    def _log_out(self, site: str, token: str, seconds: float) -> None:
        self._jobs.log_out(token)
        text = f"no heartbeat for {seconds:.0f} s; logged out until it comes back"
        _log.warning("%s: %s", site, text)
        for job_id in self._jobs.running():
            if site in self._jobs.sites(job_id):
                record(self._engine, job_id, Intervention(Kind.SILENT, text, site))
