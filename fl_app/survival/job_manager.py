"""The server's job manager, which keeps for admin sessions what became of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager
from nvflare.apis.job_def import RunStatus

from fl_app.guard.warnings import WARNINGS_META, warning_lines
from fl_app.survival.aborted_by import abort_meta


class JobManager(SimpleJobDefManager):
    """NVFlare's `job_manager`; it adds the warnings of a job, and who aborted it, to the job's meta."""

    def set_status(self, jid: str, status: RunStatus, fl_ctx: FLContext) -> None:
        """Set the status of a job."""
        if status == RunStatus.FINISHED_ABORTED and (meta := abort_meta(jid, fl_ctx)):
            self.update_meta(jid, meta, fl_ctx)
        super().set_status(jid, status, fl_ctx)

    def save_workspace(self, jid: str, data: bytes | str | list[str], fl_ctx: FLContext) -> Any:
        """Store the results of a job that has ended."""
        folders: list[str | Path] = list(data) if isinstance(data, list) else []
        if lines := warning_lines(folders):
            self.update_meta(jid, {WARNINGS_META: lines}, fl_ctx)
        return super().save_workspace(jid, data, fl_ctx)
