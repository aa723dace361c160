"""Sees to it that what waits in the queue is sent: one process a receiver, while there is something to send.

MLflow's and W&B's clients wait for their servers, take a hundred megabytes and start threads of their own;
in a process apart they cannot slow a round, and cannot take the server with them.
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

LOOK_SECONDS = 1.0
RESTART_SECONDS = 15.0
"""At least so long between two starts of one process."""
SILENT_SECONDS = 120.0
"""A process that has something to send and for so long neither sends it nor says that it cannot, hangs."""
SHOW_STACK = signal.SIGUSR1
"""Lets a process that sends write its stack into the log of its parent."""
ENDED_SECONDS = 30.0
"""Between two looks into the job store for jobs whose end nobody reported: those of an earlier parent."""

_log = logging.getLogger(__name__)


class Sending:
    """The processes that send.

    Args:
        queue: what they send.
        ended_status: how a job ended; empty while it has not.
    """

    def __init__(self, queue: TrackingQueue, ended_status: Callable[[str], str]) -> None:
        self._queue = queue
        self._ended_status = ended_status
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._heard: dict[str, tuple[float, float]] = {}
        """The last sign of life of each: the time of its file, and when that was seen first."""
        self._asked = 0.0
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="tracking", daemon=True).start()

    def close(self) -> None:
        """End them; what has not been sent waits for the next start."""
        self._closing.set()
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                self._look()
            except Exception:
                # This thread must last: what went wrong is logged, and the next look may succeed.
                _log.exception("Tracking: the queue could not be looked at")

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._asked > ENDED_SECONDS:
            self._asked = now
            for job_id in self._queue.unended():
                if status := self._ended_status(job_id):
                    self._queue.end(job_id, status)
        for receiver in self._queue.receivers:
            if self._queue.has_work(receiver) and not self._runs(receiver):
                self._start(receiver, now)
            elif self._hangs(receiver, now):
                _log.warning(
                    "Tracking: %s has sent nothing and said nothing for %.0f s; it starts again",
                    receiver,
                    SILENT_SECONDS,
                )
                _end_with_its_stack(self._processes[receiver])
        self._queue.sweep()

    def _runs(self, receiver: str) -> bool:
        process = self._processes.get(receiver)
        return process is not None and process.poll() is None

    def _hangs(self, receiver: str, now: float) -> bool:
        file = self._queue.root / f"{receiver}.json"
        written = file.stat().st_mtime if file.exists() else 0.0
        seen, since = self._heard.get(receiver, (-1.0, now))
        if written != seen or not self._queue.backlog(receiver):
            since = now
        self._heard[receiver] = (written, since)
        return self._runs(receiver) and now - max(since, self._started[receiver]) > SILENT_SECONDS

    def _start(self, receiver: str, now: float) -> None:
        if now - self._started.get(receiver, -RESTART_SECONDS) < RESTART_SECONDS:
            return
        self._started[receiver] = now
        self._processes[receiver] = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fl_app.tracking.forward",
                receiver,
                str(self._queue.root),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
        )


def _end_with_its_stack(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(SHOW_STACK)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.kill()
