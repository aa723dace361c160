"""The server's job manager, which keeps the warnings of a finished job for admin sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager

from fl_app.guard.warnings import WARNINGS_META, warning_lines


class JobManager(SimpleJobDefManager):
    """NVFlare's `job_manager`; it copies the warnings of a job from its results into its meta."""

    def save_workspace(self, jid: str, data: bytes | str | list[str], fl_ctx: FLContext) -> Any:
        """Store the results of a job that has ended."""
        folders: list[str | Path] = list(data) if isinstance(data, list) else []
        if lines := warning_lines(folders):
            self.update_meta(jid, {WARNINGS_META: lines}, fl_ctx)
        return super().save_workspace(jid, data, fl_ctx)
