"""The server's job manager: it puts jobs back that were killed, and keeps their history and warnings."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager
from nvflare.apis.job_def import Job, JobMetaKey, RunStatus

from fl_app.guard.warnings import WARNINGS_META, warning_lines
from fl_app.nvflare_internals.pauses import job_submitted
from fl_app.nvflare_internals.server_jobs import failed_process
from fl_app.nvflare_internals.site_jobs import end_leftovers
from fl_app.survival import checkpoints, job_files
from fl_app.survival.aborted_by import abort_meta
from fl_app.survival.history import record
from fl_app.survival.interventions import HISTORY_META, MAX_HISTORY, Intervention, Kind
from fl_app.survival.limits import survival_enabled
from fl_app.survival.rejoin import SERVER
from fl_app.survival.requeue import MAX_REQUEUES, Requeues, minutes_of_run, progress_of, reason_to_requeue
from fl_app.telemetry.job_progress import PROGRESS_META, final_progress

UNFINISHED = [RunStatus.RUNNING, RunStatus.DISPATCHED]
"""Statuses of the jobs that have, or should have, a process."""
_FINISHED = "FINISHED:"


class JobManager(SimpleJobDefManager):
    """NVFlare's `job_manager` with a history of each job, and jobs that run again after a kill.

    NVFlare's job store reads, changes and writes a job's meta without a lock. Here several threads change it,
    so that a status could be lost without one.
    """

    def __init__(self, uri_root: str = "jobs", job_store_id: str = "job_store") -> None:
        super().__init__(uri_root, job_store_id)
        self._meta_lock = threading.RLock()
        self._requeued: dict[str, set[str]] | None = None
        """Jobs that may be SUBMITTED although they have run, with the tokens of sites without an old process.

        None until the job store was read.
        """
        self._starting_over: dict[str, tuple[str, str]] = {}
        """Reason and site of the jobs that end because they start over."""

    def create(self, meta: dict[str, Any], uploaded_content: Any, fl_ctx: FLContext) -> dict[str, Any]:
        """Store a submitted job, and let the scheduler look at it at once."""
        created: dict[str, Any] = super().create(meta, uploaded_content, fl_ctx)
        job_submitted()
        return created

    def update_meta(self, jid: str, meta: dict[str, Any], fl_ctx: FLContext) -> None:
        """Change the given keys of a job's meta."""
        with self._meta_lock:
            super().update_meta(jid, _with_short_schedule(meta), fl_ctx)

    def refresh_meta(self, job: Job, meta_keys: list[str], fl_ctx: FLContext) -> None:
        """Store these keys of a job's meta. NVFlare adds an entry whenever a waiting job is not scheduled."""
        job.meta = _with_short_schedule(job.meta)
        with self._meta_lock:
            super().refresh_meta(job, meta_keys, fl_ctx)

    def set_status(self, jid: str, status: RunStatus, fl_ctx: FLContext) -> None:
        """Set the status of a job, or put it back to SUBMITTED if a kill ended it.

        An aborted job also gets the administrator who aborted it.
        """
        if self._put_back(jid, status, fl_ctx):
            return
        with self._meta_lock:
            if status == RunStatus.FINISHED_ABORTED and (meta := abort_meta(jid, fl_ctx)):
                self.update_meta(jid, meta, fl_ctx)
            super().set_status(jid, status, fl_ctx)
        if status.value.startswith(_FINISHED):
            checkpoints.forget(_workspace(fl_ctx), jid)

    def _put_back(self, jid: str, status: RunStatus, fl_ctx: FLContext) -> bool:
        """Put a job that ends with this status back to SUBMITTED if a kill is the reason."""
        details = fl_ctx.get_prop(FLContextKey.JOB_DEPLOY_DETAIL) or ()
        if status.value.startswith(_FINISHED):
            reason, site = self._starting_over.pop(jid, ("", ""))
            if reason and status in (RunStatus.FINISHED_EXECUTION_EXCEPTION, RunStatus.FINISHED_ABNORMAL):
                return self.requeue(jid, reason, fl_ctx, site)
        killed = reason_to_requeue(status, failed_process(fl_ctx.get_engine(), jid), details)
        return bool(killed) and self.requeue(jid, str(killed), fl_ctx)

    def delete(self, jid: str, fl_ctx: FLContext) -> None:
        """Delete a job, with its checkpoints, event files and the logs of its sites."""
        super().delete(jid, fl_ctx)
        checkpoints.forget(_workspace(fl_ctx), jid)
        job_files.delete_files(_workspace(fl_ctx), jid)

    def list_components(self, jid: str, fl_ctx: FLContext) -> list[str]:
        """Return the names of a job's components, also of those outside the job store."""
        stored: list[str] = super().list_components(jid, fl_ctx)
        return sorted({*stored, *job_files.job_files(_workspace(fl_ctx), jid)})

    def get_storage_for_download(
        self, jid: str, download_dir: str, component: str, download_file: str, fl_ctx: FLContext
    ) -> None:
        """Provide a component of a job for a download."""
        outside = job_files.job_files(_workspace(fl_ctx), jid).get(component)
        if outside is None:
            super().get_storage_for_download(jid, download_dir, component, download_file, fl_ctx)
        else:
            job_files.write_component(outside, Path(download_dir, jid, download_file))

    def get_client_data(self, jid: str, client_name: str, data_type: str, fl_ctx: FLContext) -> bytes | None:
        """Return what a site has sent of a job, or is sending: its log."""
        outside = job_files.job_files(_workspace(fl_ctx), jid).get(f"{data_type}_{client_name}")
        if outside is not None:
            return job_files.end_of_log(outside)
        data: bytes | None = super().get_client_data(jid, client_name, data_type, fl_ctx)
        return data

    def set_client_data(
        self, jid: str, data: bytes | str, client_name: str, data_type: str, fl_ctx: FLContext
    ) -> None:
        """Store what a site has sent of a job; a file is moved."""
        super().set_client_data(jid, data, client_name, data_type, fl_ctx)
        if isinstance(data, str):
            job_files.log_was_stored(Path(data))

    def remove_old_checkpoints(self, fl_ctx: FLContext) -> None:
        """Remove the checkpoints of jobs that neither run nor wait."""
        statuses = [RunStatus.SUBMITTED, RunStatus.APPROVED, *UNFINISHED]
        jobs = [job.job_id for job in self.get_jobs_by_status(statuses, fl_ctx)]
        checkpoints.sweep(_workspace(fl_ctx), jobs)

    def allow_start_over(self, jid: str, reason: str, site: str, fl_ctx: FLContext) -> bool:
        """Let a job that is about to fail return to the queue; return whether it may.

        Args:
            jid: the job.
            reason: why it cannot go on.
            site: the site, or the server.
            fl_ctx: a context of the server's parent.
        """
        with self._meta_lock:
            if self._next_requeue(jid, fl_ctx, starts_over=True) is None:
                return False
            self._starting_over[jid] = reason, site
            return True

    def _next_requeue(self, jid: str, fl_ctx: FLContext, starts_over: bool) -> Requeues | None:
        job = self.get_job(jid, fl_ctx) if survival_enabled() else None
        if job is None or str(job.meta.get(JobMetaKey.STATUS.value)).startswith(_FINISHED):
            return None  # an administrator has aborted it
        progress = progress_of(_workspace(fl_ctx), jid)
        if starts_over:
            progress = max(progress, minutes_of_run(job.meta))
        return Requeues.of(job.meta).next(progress)

    def requeue(self, jid: str, reason: str, fl_ctx: FLContext, site: str = "") -> bool:
        """Put a job back to SUBMITTED, unless it was put back too often; return whether it was.

        Args:
            jid: the job.
            reason: why its run ended.
            fl_ctx: a context of the server's parent.
            site: where a process was killed, if the job starts over for that.
        """
        with self._meta_lock:
            requeues = self._next_requeue(jid, fl_ctx, starts_over=bool(site))
            if requeues is None:
                return False
            self.update_meta(jid, requeues.meta(), fl_ctx)
            self._requeued_jobs(fl_ctx)[jid] = set()
        text = f"{reason}; put back into the queue ({requeues.count} of {MAX_REQUEUES})"
        record(fl_ctx.get_engine(), jid, Intervention(Kind.REQUEUED, text, site if site != SERVER else ""))
        return True

    def get_jobs_to_schedule(self, fl_ctx: FLContext) -> list[Job]:
        """Return the jobs that are SUBMITTED. NVFlare's store leaves out those that have run before.

        A site that still runs an old process of such a job would not start a new one.
        """
        jobs: list[Job] = super().get_jobs_to_schedule(fl_ctx)
        for jid in self._requeued_jobs(fl_ctx).keys() - {job.job_id for job in jobs}:
            job = self.get_job(jid, fl_ctx)
            if job is None or job.meta.get(JobMetaKey.STATUS.value) != RunStatus.SUBMITTED.value:
                self._requeued_jobs(fl_ctx).pop(jid)
            elif not end_leftovers(fl_ctx.get_engine(), jid, self._requeued_jobs(fl_ctx)[jid]):
                jobs.append(job)
        return jobs

    def add_to_history(self, jid: str, intervention: Intervention, fl_ctx: FLContext) -> None:
        """Append an intervention to the job's history; one in the middle of a long history is dropped."""
        with self._meta_lock:
            job = self.get_job(jid, fl_ctx)
            if job is None:
                return
            history = [*(job.meta.get(HISTORY_META) or ()), intervention.document()]
            if len(history) > MAX_HISTORY:
                del history[MAX_HISTORY // 2]
            self.update_meta(jid, {HISTORY_META: history}, fl_ctx)

    def save_workspace(self, jid: str, data: bytes | str | list[str], fl_ctx: FLContext) -> Any:
        """Store the results of a job that has ended."""
        folders: list[str | Path] = list(data) if isinstance(data, list) else []
        if lines := warning_lines(folders):
            self.update_meta(jid, {WARNINGS_META: lines}, fl_ctx)
        if progress := final_progress(folders):
            self.update_meta(jid, {PROGRESS_META: progress}, fl_ctx)
        return super().save_workspace(jid, data, fl_ctx)

    def _requeued_jobs(self, fl_ctx: FLContext) -> dict[str, set[str]]:
        with self._meta_lock:
            if self._requeued is None:
                submitted = self.get_jobs_by_status(RunStatus.SUBMITTED, fl_ctx)
                self._requeued = {job.job_id: set() for job in submitted}
            return self._requeued


def _with_short_schedule(meta: dict[str, Any]) -> dict[str, Any]:
    """Return a job's meta with the first half and the last of a long schedule_history."""
    history = meta.get(JobMetaKey.SCHEDULE_HISTORY.value) or ()
    half = MAX_HISTORY // 2
    if len(history) <= MAX_HISTORY:
        return meta
    return {**meta, JobMetaKey.SCHEDULE_HISTORY.value: [*history[:half], *history[-half:]]}


def _workspace(fl_ctx: FLContext) -> Path:
    return Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir())
