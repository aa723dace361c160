"""Supervisor of a sender process, which runs while there are values to send to its receiver.

The clients of MLflow and W&B block while their server does not answer, use a hundred megabytes and start
threads. In a separate process they cannot delay a round or crash the server.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from fl_app.tracking.queue import TrackingQueue

POLL_SECONDS = 1.0
RESTART_SECONDS = 15.0
"""Minimum time between two starts of the sender."""
STALLED_SECONDS = 120.0
"""Time without progress or error after which a sender with a backlog is restarted."""
DUMP_TRACEBACK = signal.SIGUSR1
"""Signal upon which a sender writes its traceback to the log of its parent."""
STATUS_SECONDS = 30.0
"""Interval at which the job store is checked for jobs that ended under an earlier parent."""

_log = logging.getLogger(__name__)


class SenderSupervisor:
    """Start, restart and stop the sender process of one receiver.

    Args:
        queue: queue of the receiver.
        ended_status: returns the status of a job that has ended; "" if it has not.
    """

    def __init__(self, queue: TrackingQueue, ended_status: Callable[[str], str]) -> None:
        self._queue = queue
        self._ended_status = ended_status
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._statuses_checked = -math.inf
        self._heartbeat = -1.0
        self._progressed = 0.0
        """When the last heartbeat was first seen, or there was no backlog."""
        self._last_error = ""
        self._closing = threading.Event()
        threading.Thread(target=self._run, name=f"tracking-{queue.receiver}", daemon=True).start()

    def close(self) -> None:
        """Stop the sender. Values that were not sent remain in the queue."""
        self._closing.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _run(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            try:
                self._check(time.monotonic())
                self._last_error = ""
            except Exception as error:  # the thread must survive: the next check may succeed
                if str(error) != self._last_error:  # not every second: the disk may be full
                    self._last_error = str(error)
                    _log.exception("Tracking: the check of the queue failed")

    def _check(self, now: float) -> None:
        self._queue.check_file()
        if now - self._statuses_checked > STATUS_SECONDS:
            self._statuses_checked = now
            for job_id in self._queue.running_jobs():
                if status := self._ended_status(job_id):
                    self._queue.end(job_id, status)
        state = self._queue.state()
        if state.heartbeat != self._heartbeat or not state.backlog:
            self._heartbeat, self._progressed = state.heartbeat, now
        if self._process is None or self._process.poll() is not None:
            if self._queue.unfinished() and now - self._started > RESTART_SECONDS:
                self._start(now)
        elif now - max(self._progressed, self._started) > STALLED_SECONDS:
            _log.warning(
                "Tracking: the sender for %s made no progress for %.0f s and is restarted",
                *(self._queue.receiver, STALLED_SECONDS),
            )
            _kill_with_traceback(self._process)

    def _start(self, now: float) -> None:
        self._started = now
        arguments = [self._queue.receiver, str(self._queue.file.parent), str(os.getpid())]
        command = [sys.executable, "-m", "fl_app.tracking.forward", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _kill_with_traceback(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(DUMP_TRACEBACK)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.kill()
