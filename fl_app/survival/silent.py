"""Log out sites that are silent: NVFlare waits ten minutes, and schedules jobs on a lost site meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from fl_app.nvflare_internals.server_jobs import ServerJobs
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.limits import LOGGED_OUT_SECONDS

MAX_PAUSE_SECONDS = 5.0
"""If this process itself was suspended for longer, the sites were not silent."""

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

    def check(self) -> None:
        """Log out the sites that are silent, and do not wait for a lost site at the end of a job."""
        now = self._clock()
        if now - self._last_check > MAX_PAUSE_SECONDS:
            self._not_before = now + LOGGED_OUT_SECONDS
        self._last_check = now
        if now >= self._not_before:
            for participant, last in self._jobs.last_contacts():
                if now - last > LOGGED_OUT_SECONDS:
                    self._log_out(participant.name, participant.token, now - last)
        for job_id, sites in self._jobs.awaited().items():
            for site in sites:
                if self._jobs.registered(site) is None:
                    _log.warning("job %s ends without a report of %s, which is gone", job_id, site)
                    self._jobs.ignore_outcome(job_id, site)

    def _log_out(self, site: str, token: str, seconds: float) -> None:
        self._jobs.log_out(token)
        text = f"no heartbeat for {seconds:.0f} s; logged out until it comes back"
        _log.warning("%s: %s", site, text)
        for job_id in self._jobs.running():
            if site in self._jobs.sites(job_id):
                record(self._engine, job_id, Intervention(Kind.SILENT, text, site))
