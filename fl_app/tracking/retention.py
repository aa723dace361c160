"""Retention of files of jobs: until the job is deleted, or FLARE_ANALYTICS_KEEP_DAYS after a change."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nvflare.apis.job_def import is_valid_job_id

CHECK_SECONDS = 20.0
"""Interval of the checks. A job counts as deleted after two checks: the job store may miss a job once."""
DAY_SECONDS = 86400.0

_log = logging.getLogger(__name__)


class Retention:
    """Remove the files of deleted and expired jobs; never those of a job that has not ended.

    Args:
        folder: folder with one subfolder for each job; other subfolders are left alone.
        status_of: returns NVFlare's status of a job; None if the job store has no such job, "" if unknown.
        keep_days: days for which the files remain after the last change; None to keep them until the job is
            deleted.
        content: what the files are, for messages.
    """

    def __init__(
        self,
        folder: Path,
        status_of: Callable[[str], str | None],
        keep_days: float | None = None,
        content: str = "event files",
    ) -> None:
        self._content = content
        self._folder = folder
        self._status_of = status_of
        self._keep_days = keep_days
        self._checks_missed: dict[str, int] = {}
        """Successive checks at which the job store had no such job, for each job that it had once."""
        self._last_error = ""
        self._closing = threading.Event()

    def start(self) -> None:
        """Check regularly, in a thread."""
        threading.Thread(target=self._run, name="retention", daemon=True).start()

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()

    def check(self, now: float) -> None:
        """Remove the files of deleted and expired jobs.

        Args:
            now: current time, in seconds since 1970.

        Raises:
            OSError: a folder cannot be read or removed.
        """
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if is_valid_job_id(folder.name) and folder.is_dir() and not folder.is_symlink():
                reason = self._reason_to_remove(folder, now)
                if reason:
                    shutil.rmtree(folder)
                    _log.info("Analytics: removed the %s of job %s: %s", self._content, folder.name, reason)

    def _reason_to_remove(self, folder: Path, now: float) -> str:
        job_id = folder.name
        status = self._status_of(job_id)
        if status is not None:
            self._checks_missed[job_id] = 0
            if not status.startswith("FINISHED"):
                return ""
        elif job_id in self._checks_missed:  # the files of other jobs remain: the store may not be mounted
            self._checks_missed[job_id] += 1
            if self._checks_missed[job_id] > 1:
                return "the job was deleted"
        if self._keep_days is not None and _last_change(folder) < now - self._keep_days * DAY_SECONDS:
            return f"nothing was logged for {self._keep_days:g} days"
        return ""

    def _run(self) -> None:
        while not self._closing.wait(CHECK_SECONDS):
            try:
                self.check(time.time())
                self._last_error = ""
            except Exception as error:
                if str(error) != self._last_error:
                    self._last_error = str(error)
                    _log.warning("Analytics: %s cannot be removed: %s", self._content, error)


def _last_change(folder: Path) -> float:
    newest = folder.stat().st_mtime
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            newest = max(newest, file.stat().st_mtime)
    return newest
