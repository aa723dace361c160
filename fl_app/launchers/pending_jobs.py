"""The server's list of jobs, in which a job whose pod on the server does not run yet says why.

The process that would tell an administrator is in that pod, so that the parent must.
"""

from __future__ import annotations

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager
from nvflare.apis.job_def import Job

from fl_app.launchers.job_pod import waits_for
from fl_app.telemetry.job_progress import SERVER_WAITS_FOR


class PendingJobs(SimpleJobDefManager):
    """NVFlare's `job_manager`; what its jobs wait for is told to whoever asks, and never stored.

    Args:
        uri_root: as NVFlare's.
        job_store_id: as NVFlare's.
    """

    def __init__(self, uri_root: str = "jobs", job_store_id: str = "job_store") -> None:
        super().__init__(uri_root, job_store_id)

    def get_job(self, jid: str, fl_ctx: FLContext) -> Job | None:
        """The job with this id; None if there is none."""
        job = super().get_job(jid, fl_ctx)
        return job and _told(job)

    def get_all_jobs(self, fl_ctx: FLContext) -> list[Job]:
        """Every job that is kept."""
        return [_told(job) for job in super().get_all_jobs(fl_ctx)]


def _told(job: Job) -> Job:
    if reason := waits_for(job.job_id):
        job.meta[SERVER_WAITS_FOR] = reason
    return job
