"""Keeps what jobs push: event files for TensorBoard, and the queue for MLflow and W&B."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from fl_app.contract import ANALYTICS_FOLDER
from fl_app.telemetry.intake import Reason, Refused
from fl_app.tracking.document import KIND, AnalyticsDocument
from fl_app.tracking.event_files import EventFiles
from fl_app.tracking.points import folder_of
from fl_app.tracking.queue import QueuedJob, TrackingQueue
from fl_app.tracking.sending import Sending

QUEUE_FOLDER = "tracking"
"""Below the workspace."""

_log = logging.getLogger(__name__)


class AnalyticsKeeper:
    """Takes documents of the kind `analytics`, as `fl_app.telemetry.intake.Kind`.

    Args:
        workspace: of the server's parent.
        project: the federation's name.
        server: the server's name.
        receivers: the trackers that everything is passed on to.
        ended_status: how a job ended; empty while it has not.
    """

    name = KIND
    document: type[BaseModel] = AnalyticsDocument

    def __init__(
        self,
        workspace: Path,
        project: str,
        server: str,
        receivers: Sequence[str],
        ended_status: Callable[[str], str],
    ) -> None:
        self._project = project
        self._server = server
        folder = workspace / ANALYTICS_FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # for a TensorBoard that is there before a job
        self.folder = folder
        self._files = EventFiles(folder, own_name=server)
        self._writes_files = find_spec("tensorboard") is not None
        if not self._writes_files:
            _log.warning("No event files are kept: tensorboard is not installed here.")
        self.queue = TrackingQueue(workspace / QUEUE_FOLDER, receivers)
        self._sending = Sending(self.queue, ended_status) if receivers else None
        self._full = False

    def accept(self, job_id: str, document: AnalyticsDocument) -> int:
        """Keep a job's points; return how many had no room.

        Raises:
            Refused: the disk is full; the job is to send them again.
        """
        job_id = folder_of(job_id)
        try:
            without_room = self._queue_up(job_id, document)
            if self._writes_files:
                without_room += self._files.write(job_id, document.points)
        except OSError as error:
            if not self._full:
                self._full = True
                _log.error("Analytics cannot be kept, and are tried again: %s", error)
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, Reason.ROOM) from error
        self._full = False
        return without_room

    def end(self, job_id: str, status: str) -> None:
        """A job has ended."""
        self._files.end(folder_of(job_id))
        self.queue.end(folder_of(job_id), status)

    def forget(self, job_id: str) -> None:
        """A job's event files are about to go."""
        self._files.end(job_id)

    def close(self) -> None:
        """Write no more."""
        self._files.close()
        if self._sending is not None:
            self._sending.close()

    def _queue_up(self, job_id: str, document: AnalyticsDocument) -> int:
        if not self.queue.receivers:
            return 0
        job = QueuedJob(
            id=job_id,
            name=document.job or job_id,
            project=self._project,
            server=self._server,
            started=time.time(),
        )
        return self.queue.add(job, document.points)
