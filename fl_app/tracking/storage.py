"""Storage of the analytics that jobs push: event files for TensorBoard, and the queue for MLflow and W&B."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from fl_app.contract import ANALYTICS_FOLDER
from fl_app.files import PRIVATE_FOLDER
from fl_app.telemetry.push_gateway import DocumentRefusedError, Reason
from fl_app.tracking.event_files import EventFiles
from fl_app.tracking.points import DOCUMENT_KIND, AnalyticsDocument, folder_of
from fl_app.tracking.queue import QueuedJob, TrackingQueue
from fl_app.tracking.sender_supervisor import SenderSupervisor

QUEUE_FOLDER = "tracking"
"""Folder of the queue in the workspace."""

_log = logging.getLogger(__name__)


class AnalyticsStorage:
    """Store documents of the kind `analytics`, as `fl_app.telemetry.push_gateway.DocumentKind`.

    Args:
        workspace: folder of the server's workspace.
        project: name of the federation.
        server: name of the server.
        receivers: names of the trackers to which all values are sent.
        ended_status: returns the status of a job that has ended; "" if it has not.
    """

    name = DOCUMENT_KIND
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
        self.folder = workspace / ANALYTICS_FOLDER
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)  # TensorBoard may start first
        self._files = EventFiles(self.folder, server) if find_spec("tensorboard") is not None else None
        if self._files is None:
            _log.warning("Analytics: event files are not written because tensorboard is not installed")
        self.queue = _open_queue(workspace / QUEUE_FOLDER, receivers) if receivers else None
        self._supervisor = SenderSupervisor(self.queue, ended_status) if self.queue is not None else None
        self._has_failed = False
        self._is_damaged = False

    def accept(self, job_id: str, document: AnalyticsDocument) -> int:
        """Store the values of a job; return how many were dropped because of a limit.

        Raises:
            DocumentRefusedError: the disk is full or fails; the job retries.
        """
        job_id = folder_of(job_id)
        try:
            dropped = self._enqueue(job_id, document)
            if self._files is not None:
                dropped += self._files.write(job_id, document.points)
        except (OSError, sqlite3.Error) as error:
            if not self._has_failed:
                self._has_failed = True
                _log.error("Analytics: values cannot be stored; jobs retry until they can: %s", error)
            raise DocumentRefusedError(HTTPStatus.INSUFFICIENT_STORAGE, Reason.CAPACITY) from error
        self._has_failed = False
        return dropped

    def end(self, job_id: str, status: str) -> None:
        """Handle the end of a job."""
        self.close_files(folder_of(job_id))
        if self.queue is not None:
            self.queue.end(folder_of(job_id), status)

    def close_files(self, job_id: str) -> None:
        """Close the event files of a job."""
        if self._files is not None:
            self._files.end(job_id)

    def close(self) -> None:
        """Close all files and stop the senders."""
        if self._files is not None:
            self._files.close()
        if self._supervisor is not None:
            self._supervisor.close()

    def _enqueue(self, job_id: str, document: AnalyticsDocument) -> int:
        if self.queue is None:
            return 0
        name = document.job or job_id
        job = QueuedJob(job_id, name, project=self._project, server=self._server, started=time.time())
        try:
            return self.queue.add(job, document.points)
        except sqlite3.OperationalError:  # the disk is full, or the database is busy
            raise
        except sqlite3.DatabaseError as error:  # a retry cannot help
            if not self._is_damaged:
                self._is_damaged = True
                _log.error(
                    "Tracking: the queue in %s is damaged; nothing is sent to trackers: %s. "
                    "Move the folder away and restart the server",
                    self.queue.folder,
                    error,
                )
            return len(document.points)


def _open_queue(folder: Path, receivers: Sequence[str]) -> TrackingQueue | None:
    try:
        return TrackingQueue(folder, receivers)
    except (OSError, sqlite3.Error) as error:
        _log.error(
            "Tracking: the queue in %s cannot be opened; nothing is sent to trackers: %s", folder, error
        )
        return None
