"""The logs of a job in the workspace of a parent, for errors that the job itself cannot write."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import WorkspaceConstants

from fl_app.guard.site_error import SITE_ERROR_MARK, SiteError


def append_error(workspace: Any, job_id: str, logger: str, text: str) -> None:
    """Append an error to the logs of a job in NVFlare's format; NVFlare sends them to the administrator.

    Args:
        workspace: NVFlare's workspace of the parent.
        job_id: the job.
        logger: name that the line shows.
        text: one line.
    """
    now = datetime.now()
    line = f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03} - {logger} - ERROR - {text}\n"
    errors = Path(workspace.get_app_error_log_file_path(job_id))
    if errors.parent.is_dir():
        for file in (errors, errors.with_name(WorkspaceConstants.LOG_FILE_NAME)):
            with file.open("a", encoding="utf-8") as log:
                log.write(line)


def log_site_error(workspace: Any, job_id: str, error: SiteError) -> None:
    """Append an error to the log of a job on the server, as the guard does for errors that sites send."""
    document = json.dumps(error.document(), ensure_ascii=False)
    append_error(workspace, job_id, "JobProcess", f"{SITE_ERROR_MARK} {document}")
