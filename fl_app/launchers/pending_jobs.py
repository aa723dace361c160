"""The server's job manager, which reports why the pod of a job on the server is pending.

The server's job process usually reports the state of a job, but it runs in that pod.
"""

from __future__ import annotations

from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import Job

from fl_app.launchers.job_pod import pending_reason
from fl_app.survival.job_manager import JobManager
from fl_app.telemetry.job_progress import SERVER_PENDING_REASON


class PendingJobs(JobManager):
    """The job manager; it adds the pending reason to the jobs that it returns."""

    def get_job(self, jid: str, fl_ctx: FLContext) -> Job | None:
        """Return the job with this id, or None."""
        job = super().get_job(jid, fl_ctx)
        return job and _with_reason(job)

    def get_all_jobs(self, fl_ctx: FLContext) -> list[Job]:
        """Return every stored job."""
        return [_with_reason(job) for job in super().get_all_jobs(fl_ctx)]


def _with_reason(job: Job) -> Job:
    if reason := pending_reason(job.job_id):
        job.meta[SERVER_PENDING_REASON] = reason
    return job
