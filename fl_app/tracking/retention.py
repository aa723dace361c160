"""How long event files stay: until their job is deleted, or for FLARE_ANALYTICS_KEEP_DAYS after its end."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from nvflare.apis.job_def import is_valid_job_id

LOOK_SECONDS = 20.0
"""Between two looks. A job that two of them miss is deleted: the store may fail to find a job once."""
DAY_SECONDS = 86400.0

_log = logging.getLogger(__name__)


class Retention:
    """Removes the event files of jobs that have had their time; never those of a job that has not ended.

    Args:
        folder: ANALYTICS_FOLDER of the server's workspace. What in it is not called like a job stays.
        status_of: NVFlare's status of a job; None if its store does not have it, empty if nobody knows.
        forget: told a job's id before its files go.
        keep_days: for so long they stay after the last of them was written; None is until the job is deleted.
    """

    def __init__(
        self,
        folder: Path,
        status_of: Callable[[str], str | None],
        forget: Callable[[str], None],
        keep_days: float | None = None,
    ) -> None:
        self._folder = folder
        self._status_of = status_of
        self._forget = forget
        self._keep_days = keep_days
        self._known: set[str] = set()
        self._missed: set[str] = set()
        self._complaint = ""
        self._end = threading.Event()

    def start(self) -> None:
        """Look again and again, in a thread of its own."""
        threading.Thread(target=self._keep_looking, name="event-files-retention", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._end.set()

    def look(self, now: float) -> None:
        """Remove what has had its time by now.

        Args:
            now: seconds since 1970.

        Raises:
            OSError: a folder cannot be read or removed.
        """
        for folder in sorted(self._folder.iterdir()):
            if is_valid_job_id(folder.name) and folder.is_dir() and not folder.is_symlink():
                reason = self._why_it_goes(folder, now)
                if reason:
                    self._forget(folder.name)
                    shutil.rmtree(folder)
                    _log.info("The event files of the job %s are removed: %s", folder.name, reason)

    def _why_it_goes(self, folder: Path, now: float) -> str:
        """Why a job's files have had their time; empty while they have not."""
        job_id = folder.name
        status = self._status_of(job_id)
        if status is None:
            if self._is_missed_again(job_id):
                return "it was deleted"
        else:
            self._known.add(job_id)
            self._missed.discard(job_id)
            if not status.startswith("FINISHED"):
                return ""
        if self._keep_days is not None and _last_written(folder) < now - self._keep_days * DAY_SECONDS:
            return f"nothing was logged for {self._keep_days:g} days"
        return ""

    def _is_missed_again(self, job_id: str) -> bool:
        """Whether a job was there and is not any more.

        One that never was there may be of a store that is not mounted: its files stay.
        """
        if job_id not in self._known:
            return False
        if job_id not in self._missed:
            self._missed.add(job_id)
            return False
        return True

    def _keep_looking(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            try:
                self.look(time.time())
                self._complaint = ""
            except Exception as error:
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    _log.warning("Event files that have had their time cannot be removed: %s", error)


def _last_written(folder: Path) -> float:
    """When the newest of its files, or the folder itself, was changed."""
    return max(_changed(folder))


def _changed(folder: Path) -> Iterator[float]:
    yield folder.stat().st_mtime
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            yield file.stat().st_mtime
