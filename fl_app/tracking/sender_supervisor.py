"""Supervisor of the sender processes: one for each receiver, while there are values to send.

The clients of MLflow and W&B block while their server does not answer, use a hundred megabytes and start
threads. In a separate process they cannot delay a round or crash the server.
"""

from __future__ import annotations

import contextlib
import logging
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
"""Minimum time between two starts of one sender."""
STALLED_SECONDS = 120.0
"""Time without progress or error after which a sender with a backlog is restarted."""
DUMP_TRACEBACK = signal.SIGUSR1
"""Signal upon which a sender writes its traceback to the log of its parent."""
STATUS_SECONDS = 30.0
"""Interval at which the job store is checked for jobs that ended under an earlier parent."""

_log = logging.getLogger(__name__)


class SenderSupervisor:
    """Start, restart and stop the sender processes.

    Args:
        queue: the queue.
        ended_status: returns the status of a job that has ended; "" if it has not.
    """

    def __init__(self, queue: TrackingQueue, ended_status: Callable[[str], str]) -> None:
        self._queue = queue
        self._ended_status = ended_status
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._heartbeats: dict[str, tuple[float, float]] = {}
        """Last heartbeat of each sender, and when it was first seen."""
        self._statuses_checked = 0.0
        self._last_error = ""
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="tracking", daemon=True).start()

    def close(self) -> None:
        """Stop the senders. Values that were not sent remain in the queue."""
        self._closing.set()
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()

    def _run(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            try:
                self._check()
                self._last_error = ""
            except Exception as error:  # the thread must survive: the next check may succeed
                if str(error) != self._last_error:  # not every second: the disk may be full
                    self._last_error = str(error)
                    _log.exception("Tracking: the check of the queue failed")

    def _check(self) -> None:
        now = time.monotonic()
        self._queue.check_file()
        if now - self._statuses_checked > STATUS_SECONDS:
            self._statuses_checked = now
            for job_id in self._queue.running_jobs():
                if status := self._ended_status(job_id):
                    self._queue.end(job_id, status)
        for receiver in self._queue.receivers:
            if self._queue.unfinished(receiver) and not self._is_running(receiver):
                self._start(receiver, now)
            elif self._is_stalled(receiver, now):
                _log.warning(
                    "Tracking: the sender for %s made no progress for %.0f s and is restarted",
                    receiver,
                    STALLED_SECONDS,
                )
                _kill_with_traceback(self._processes[receiver])
        self._queue.remove_sent()

    def _is_running(self, receiver: str) -> bool:
        process = self._processes.get(receiver)
        return process is not None and process.poll() is None

    def _is_stalled(self, receiver: str, now: float) -> bool:
        heartbeat = self._queue.state(receiver).heartbeat
        last, since = self._heartbeats.get(receiver, (-1.0, now))
        if heartbeat != last or not self._queue.backlog(receiver):
            since = now
        self._heartbeats[receiver] = (heartbeat, since)
        return self._is_running(receiver) and now - max(since, self._started[receiver]) > STALLED_SECONDS

    def _start(self, receiver: str, now: float) -> None:
        if now - self._started.get(receiver, -RESTART_SECONDS) < RESTART_SECONDS:
            return
        self._started[receiver] = now
        module = "fl_app.tracking.forward"
        self._processes[receiver] = subprocess.Popen(
            [sys.executable, "-m", module, receiver, str(self._queue.folder), str(os.getpid())],
            stdin=subprocess.DEVNULL,
        )


def _kill_with_traceback(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(DUMP_TRACEBACK)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.kill()
