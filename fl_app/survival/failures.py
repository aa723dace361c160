"""Failures of sites that do not end a job, although they would in NVFlare."""

from __future__ import annotations

import logging
from typing import Any

from nvflare.fuel.common.exit_codes import ProcessExitCode

from fl_app.nvflare_internals.server_jobs import ServerJobs

_log = logging.getLogger(__name__)


class SiteFailures:
    """Decide whether a failure that a site reports ends the job.

    Args:
        engine: NVFlare's engine of the server's parent.
    """

    def __init__(self, engine: Any) -> None:
        self._jobs = ServerJobs(engine)

    def install(self) -> None:
        """Let NVFlare ask `is_ignored`."""
        self._jobs.filter_failures(self.is_ignored)

    def is_ignored(self, job_id: str, code: int) -> bool:
        """Return whether the job goes on, or has already ended well.

        - The server's process has ended: all rounds are done, and a site was killed before its report.
        - A job with a quorum goes on without a site; the guard ends it if too few sites are left.
        """
        job, sites = self._jobs.job(job_id), self._jobs.sites(job_id)
        if job_id not in self._jobs.running():
            reason = "the server's part has ended" if code == ProcessExitCode.INFRASTRUCTURE_ERROR else ""
        else:
            reason = "it has a quorum" if job and 0 < (job.min_sites or 0) < len(sites) else ""
        if reason:
            _log.warning("job %s: a site failed with code %s; the job goes on: %s", job_id, code, reason)
        return bool(reason)
