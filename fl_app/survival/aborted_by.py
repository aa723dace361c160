"""The administrator who aborted a job, from the server's audit log.

NVFlare's command `abort_job` passes no user to the components of the server. NVFlare writes each command to
the audit log after it has authorized it and before it executes it: `[E:ID][T:TIME][U:USER][A:abort_job ID]`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.survival.interventions import ABORTED_BY_META

_TAIL_BYTES = 1 << 20
"""Part of the audit log that is read: thousands of commands, while an abort takes some seconds."""
_COMMAND = (
    r"""^\[E:[^\]]*\](?:\[R:[^\]]*\])?\[T:[^\]]*\]\[U:(?P<user>[^\]]+)\]\[A:\s*abort_job\s+["']?{job}\b"""
)


def abort_meta(job_id: str, fl_ctx: FLContext) -> dict[str, str]:
    """Return what the meta of an aborted job contains about its abort; empty if no administrator aborted it.

    Args:
        job_id: the job.
        fl_ctx: a context of the server's parent.
    """
    workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
    user = aborted_by(Path(workspace.get_audit_file_path()), job_id) if workspace is not None else ""
    return {ABORTED_BY_META: user} if user else {}


def aborted_by(audit_log: Path, job_id: str) -> str:
    """Return the administrator who last aborted a job; empty if the end of the audit log does not say."""
    try:
        with audit_log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    found = re.findall(_COMMAND.format(job=re.escape(job_id)), text, re.MULTILINE)
    return str(found[-1]) if found else ""
