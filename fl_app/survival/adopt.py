"""Take over the running jobs of a server's parent that was killed, with the job processes of their sites.

A site ends a job that its server does not list. So the jobs are listed before the server answers the first
heartbeat, and launched when it has started. The old process of a job on the server has ended with its parent;
a pod is deleted by the launcher.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from nvflare.apis.job_def import JobMetaKey, RunStatus

from fl_app.nvflare_internals.server_jobs import ServerJobs
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.job_manager import UNFINISHED, JobManager
from fl_app.survival.parent_state import Jobs
from fl_app.survival.requeue import NO_PROGRESS, progress_of

PARENT_RESTARTED = "the server was started again"

_UNFINISHED_VALUES = [status.value for status in UNFINISHED]

_log = logging.getLogger(__name__)


class Adoption:
    """The jobs of the previous parent, from SYSTEM_BOOTSTRAP until they run again.

    Args:
        engine: NVFlare's engine of the server's parent.
        manager: the server's job manager.
    """

    def __init__(self, engine: Any, manager: JobManager) -> None:
        self._engine = engine
        self._manager = manager
        self._jobs = ServerJobs(engine)
        self._reserved: list[str] = []
        self._lost: dict[str, str] = {}
        self._abandoned: list[str] = []
        self._workspace = Path(engine.get_workspace().get_root_dir())

    def prepare(self, saved: Jobs, is_first: bool = False) -> None:
        """List the jobs that can be taken over as running.

        Args:
            saved: participants of the jobs of the previous parent.
            is_first: whether survival starts for the first time in this workspace. Jobs that run without a
                checkpoint are then those that NVFlare left as running, perhaps months ago; they end.
        """
        for job_id, participants in saved.items():  # at once: reading the job store takes time
            self._jobs.reserve(job_id, participants)
        with self._engine.new_context() as fl_ctx:
            unfinished = {job.job_id for job in self._manager.get_jobs_by_status(UNFINISHED, fl_ctx)}
            self._manager.remove_old_checkpoints(fl_ctx)
        for job_id in unfinished:
            if is_first and progress_of(self._workspace, job_id) == NO_PROGRESS:
                self._abandoned.append(job_id)
            elif not saved.get(job_id):
                self._lost[job_id] = "its sites are not known"
            elif not self._jobs.is_deployed(job_id):
                self._lost[job_id] = "its files are missing"
            else:
                self._reserved.append(job_id)
        for job_id in saved.keys() - set(self._reserved):
            self._jobs.release(job_id)

    def finish(self) -> None:
        """Launch the jobs; one that cannot be launched is put back to SUBMITTED, and so are all others."""
        for job_id in self._reserved:
            try:
                self._adopt(job_id)
            except Exception as error:
                _log.exception("job %s cannot be taken over", job_id)
                self._jobs.release(job_id)
                self._lost[job_id] = f"its process cannot be launched: {error}"
        for job_id in self._abandoned:
            with self._engine.new_context() as fl_ctx:
                self._manager.set_status(job_id, RunStatus.ABANDONED, fl_ctx)
        for job_id, reason in self._lost.items():
            with self._engine.new_context() as fl_ctx:
                if not self._manager.requeue(job_id, f"{PARENT_RESTARTED}, and {reason}", fl_ctx):
                    self._manager.set_status(job_id, RunStatus.ABANDONED, fl_ctx)
        self._reserved, self._lost, self._abandoned = [], {}, []

    def _adopt(self, job_id: str) -> None:
        with self._engine.new_context() as fl_ctx:
            job = self._manager.get_job(job_id, fl_ctx)
            if job is None or job.meta[JobMetaKey.STATUS.value] not in _UNFINISHED_VALUES:
                self._jobs.release(job_id)  # an administrator has aborted or deleted it
                return
            self._jobs.adopt(job, fl_ctx)
            if job.meta[JobMetaKey.STATUS.value] != RunStatus.RUNNING.value:
                self._manager.set_status(job_id, RunStatus.RUNNING, fl_ctx)
        record(self._engine, job_id, Intervention(Kind.ADOPTED, f"{PARENT_RESTARTED}; the job goes on"))
