"""Download the event files of jobs, of running ones as well, for TensorBoard on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from deploy.session.job import Job
from deploy.session.requests import PermissionDenied
from deploy.session.results import result_name
from deploy.session.session import AdminSession
from fl_app.contract import EVENT_FILES_COMPONENT

LATEST_JOBS = 10
"""Jobs whose event files are downloaded if none is named."""


class EventFileDownload:
    """The event files of some jobs in a folder, NAME-ID/SITE.

    Args:
        session: the session of an administrator.
        folder: the folder to fill.
        job_ids: the jobs (default: the latest ones, and those that are submitted later).
    """

    def __init__(self, session: AdminSession, folder: Path, job_ids: Sequence[str] = ()) -> None:
        self._session = session
        self._folder = folder
        self._job_ids = job_ids
        self._complete: set[str] = set()

    def update(self) -> Path:
        """Download the event files of jobs that may have new ones; return the folder, which they replace.

        Jobs of others that are not named and that the administrator may not read are left out.

        Raises:
            PermissionDenied: the administrator may not read what a named job logged.
        """
        for job in self._jobs():
            try:
                files = self._session.components(job.id, EVENT_FILES_COMPONENT)
            except PermissionDenied:
                if self._job_ids:
                    raise
                self._complete.add(job.id)
                continue
            if events := files.get(EVENT_FILES_COMPONENT):
                target = self._folder / result_name(job)
                shutil.rmtree(target, ignore_errors=True)
                shutil.move(events, target)
            for path in files.values():
                shutil.rmtree(path.parent, ignore_errors=True)  # NVFlare keeps the logs, in every download
            if job.is_finished:
                self._complete.add(job.id)
        return self._folder

    def _jobs(self) -> list[Job]:
        if self._job_ids:
            wanted = [self._session.job(job_id) for job_id in self._job_ids if job_id not in self._complete]
        else:
            wanted = list(self._session.jobs()[-LATEST_JOBS:])
        return [job for job in wanted if job.id not in self._complete]
