"""The server's job manager, which keeps the history and the warnings of a job for admin sessions."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager
from nvflare.apis.job_def import RunStatus

from fl_app.guard.warnings import WARNINGS_META, warning_lines
from fl_app.survival.aborted_by import abort_meta
from fl_app.survival.interventions import HISTORY_META, MAX_HISTORY, Intervention


class JobManager(SimpleJobDefManager):
    """NVFlare's `job_manager` with a history of each job and the warnings of its results in its meta.

    NVFlare's job store reads, changes and writes a job's meta without a lock. Here several threads change it,
    so that a status could be lost without one.
    """

    def __init__(self, uri_root: str = "jobs", job_store_id: str = "job_store") -> None:
        super().__init__(uri_root, job_store_id)
        self._meta_lock = threading.RLock()

    def update_meta(self, jid: str, meta: dict[str, Any], fl_ctx: FLContext) -> None:
        """Change the given keys of a job's meta."""
        with self._meta_lock:
            super().update_meta(jid, meta, fl_ctx)

    def set_status(self, jid: str, status: RunStatus, fl_ctx: FLContext) -> None:
        """Set the status of a job; an aborted job also gets the administrator who aborted it."""
        with self._meta_lock:
            if status == RunStatus.FINISHED_ABORTED and (meta := abort_meta(jid, fl_ctx)):
                self.update_meta(jid, meta, fl_ctx)
            super().set_status(jid, status, fl_ctx)

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
        return super().save_workspace(jid, data, fl_ctx)
