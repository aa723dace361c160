"""Files of a job outside the server's job store: event files, and logs that sites are sending.

`JobManager` offers them as components of the job, so that `download_job_components` and `get_job_log` of
NVFlare return them, of a running job as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from pathlib import Path

from fl_app.contract import ANALYTICS_FOLDER, EVENT_FILES_COMPONENT, SITE_LOG_COMPONENT, SITE_LOGS_FOLDER
from fl_app.tracking.points import folder_of

_LOG = "log.txt"
MAX_LOG_BYTES = 5 * 2**20 + 1
"""The end of a log that a request returns: NVFlare's limit, and a byte to notice that there is more."""


def job_files(workspace: Path, job_id: str) -> dict[str, Path]:
    """Return the file or folder of each component that a job has outside the job store."""
    found = {}
    events = _events(workspace, job_id)
    if any(events.rglob("*.tfevents.*")):
        found[EVENT_FILES_COMPONENT] = events
    for log in _logs(workspace, job_id).glob(f"*/{_LOG}"):
        found[f"{SITE_LOG_COMPONENT}{log.parent.name}"] = log
    return found


def write_component(source: Path, target: Path) -> None:
    """Write a component to a file: a log, or an archive of event files. Both may grow meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, target)
        return
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(source.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(source))


def end_of_log(file: Path) -> bytes:
    """Return the end of a log."""
    with file.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - MAX_LOG_BYTES))
        return log.read()


def log_was_stored(file: Path) -> None:
    """Remove the empty folders of a log that the job store took."""
    with contextlib.suppress(OSError):  # there are more logs, or another thread was faster
        file.parent.rmdir()
        file.parents[1].rmdir()


def delete_files(workspace: Path, job_id: str) -> None:
    """Delete the event files of a deleted job, and the logs that sites were sending."""
    for folder in (_events(workspace, job_id), _logs(workspace, job_id)):
        shutil.rmtree(folder, ignore_errors=True)


def _events(workspace: Path, job_id: str) -> Path:
    return workspace / ANALYTICS_FOLDER / folder_of(job_id)


def _logs(workspace: Path, job_id: str) -> Path:
    return workspace / SITE_LOGS_FOLDER / folder_of(job_id)
