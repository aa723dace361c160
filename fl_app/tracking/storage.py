"""Storage of the analytics that jobs push: event files for TensorBoard, and queues for MLflow and W&B."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from fl_app.contract import ANALYTICS_FOLDER
from fl_app.files import PRIVATE_FOLDER
from fl_app.telemetry.push_gateway import DocumentRefusedError, Reason
from fl_app.tracking.event_files import EventFiles
from fl_app.tracking.points import DOCUMENT_KIND, AnalyticsDocument, AnyPoint, folder_of
from fl_app.tracking.queue import QueuedJob, TrackingQueue
from fl_app.tracking.sender_supervisor import SenderSupervisor
from fl_app.tracking.written_steps import WrittenSteps

QUEUE_FOLDER = "tracking"
"""Folder of the queues in the workspace."""

MAX_JOBS = 256
"""Jobs whose sites are in memory."""

_log = logging.getLogger(__name__)


class AnalyticsStorage:
    """Store documents of the kind `analytics`, as `fl_app.telemetry.push_gateway.DocumentKind`.

    Args:
        workspace: folder of the server's workspace.
        project: name of the federation.
        server: name of the server.
        receivers: names of the trackers to which all values are sent.
        ended_status: returns the status of a job that has ended; "" if it has not.
        sites_of: returns the sites of a job.
    """

    name = DOCUMENT_KIND
    document: type[BaseModel] = AnalyticsDocument

    def __init__(
        self,
        workspace: Path,
        project: str,
        server: str,
        receivers: Sequence[str],
        *,
        ended_status: Callable[[str], str],
        sites_of: Callable[[str], Collection[str]],
    ) -> None:
        self._project = project
        self._server = server
        self._sites = lru_cache(MAX_JOBS)(lambda job_id: frozenset(("", *sites_of(job_id))))
        self._report_once = lru_cache(MAX_JOBS)(_report_loss)
        self.folder = workspace / ANALYTICS_FOLDER
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)  # TensorBoard may start first
        self._files = EventFiles(self.folder, server) if find_spec("tensorboard") is not None else None
        if self._files is None:
            _log.warning("Analytics: event files are not written because tensorboard is not installed")
        folder = workspace / QUEUE_FOLDER
        opened = [_open_queue(folder, receiver) for receiver in receivers]
        self.queues = [queue for queue in opened if queue is not None]
        self._unopened = len(opened) - len(self.queues)
        self._supervisors = [SenderSupervisor(queue, ended_status) for queue in self.queues]
        self._has_failed = False
        self._steps = _open_steps(folder)

    def accept(self, job_id: str, document: AnalyticsDocument) -> int:
        """Store the values of a job; return how many were dropped, or lost by a tracker since the last call.

        Raises:
            DocumentRefusedError: the disk is full or fails; the job retries.
        """
        job_id = folder_of(job_id)
        received = self._of_known_sites(job_id, document.points)
        dropped = len(document.points) - len(received)
        known = self._steps.new(job_id, received)
        dropped += self._unopened * len(known)
        job = QueuedJob(job_id, document.job or job_id, self._project, self._server, time.time())
        try:
            dropped += sum(self._enqueue(queue, job, known) for queue in self.queues)
            if self._files is not None and (lost := self._files.write(job_id, known)):
                dropped += lost
                self._report_once(job_id, "the job has too many tags, or its event files are too large")
        except (OSError, sqlite3.Error) as error:
            if not self._has_failed:
                self._has_failed = True
                _log.error("Analytics: values cannot be stored; jobs retry until they can: %s", error)
            raise DocumentRefusedError(HTTPStatus.INSUFFICIENT_STORAGE, Reason.CAPACITY) from error
        self._has_failed = False
        self._steps.record(job_id, received)
        return dropped

    def interrupted(self, job_id: str) -> None:
        """Handle a process of the job that starts again: values of a round that it repeats are dropped."""
        self._steps.interrupted(folder_of(job_id))

    def end(self, job_id: str, status: str) -> None:
        """Handle the end of a job."""
        job_id = folder_of(job_id)
        if self._files is not None:
            self._files.end(job_id)
        for queue in self.queues:
            queue.end(job_id, status)
        self._steps.forget(job_id)

    def close(self) -> None:
        """Stop the senders."""
        for supervisor in self._supervisors:
            supervisor.close()
        self._steps.close()

    def _of_known_sites(self, job_id: str, points: Sequence[AnyPoint]) -> list[AnyPoint]:
        """Return the points of the server and of the job's sites: a site may invent names without end."""
        sites = self._sites(job_id)
        known = [point for point in points if point.site in sites]
        if len(known) < len(points):
            self._report_once(job_id, "they name a site that does not take part in the job")
        return known

    def _enqueue(self, queue: TrackingQueue, job: QueuedJob, points: Sequence[AnyPoint]) -> int:
        reason = f"{queue.receiver} refused them, or its queue is full"
        try:
            lost = queue.add(job, points)
        except sqlite3.OperationalError:  # the disk is full, or the database is busy
            raise
        except sqlite3.DatabaseError as error:  # a retry cannot help
            lost = len(points)
            reason = f"{queue.file} is damaged: {error}. Move it away and restart the server"
        if lost:
            self._report_once(job.id, reason)
        return lost


def _open_steps(folder: Path) -> WrittenSteps:
    """Open the steps that jobs have logged; in memory, until the server's next start, if the disk fails."""
    try:
        return WrittenSteps(folder)
    except (OSError, sqlite3.Error) as error:
        _log.warning("Analytics: a round that is trained again may log its steps twice: %s", error)
        return WrittenSteps(None)


def _report_loss(job_id: str, reason: str) -> None:
    _log.warning("Analytics: values of job %s are lost: %s", job_id, reason)


def _open_queue(folder: Path, receiver: str) -> TrackingQueue | None:
    try:
        queue = TrackingQueue(folder, receiver)
        queue.retry_refused()
    except (OSError, sqlite3.Error) as error:
        _log.error(
            "Tracking: the queue in %s cannot be opened; nothing is sent to %s: %s", folder, receiver, error
        )
        return None
    return queue
