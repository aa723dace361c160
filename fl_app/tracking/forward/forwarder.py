"""Send queued values to one receiver: in order for each job, at least once, with unlimited retries."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter
from tenacity.wait import wait_base

from fl_app.tracking.forward.receiver import Receiver, RefusedError, RunRefusedError, UnavailableError
from fl_app.tracking.points import AnyPoint
from fl_app.tracking.queue import QueuedJob, TrackingQueue

POLL_SECONDS = 0.5
IDLE_SECONDS = 60.0
"""Time without an unfinished job after which the process exits. The parent starts it again when needed."""
MAX_RETRY_SECONDS = 20.0
"""Upper bound of the time between two retries."""


class Forwarder:
    """Send values to one receiver. A job whose run the receiver refuses or delays does not block other jobs.

    Args:
        receiver: the tracker.
        queue: the queue.
        wait: time between retries.
        report: receives each message for the log.
    """

    def __init__(
        self,
        receiver: Receiver,
        queue: TrackingQueue,
        wait: wait_base | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._receiver = receiver
        self._queue = queue
        self._report = report or _print
        self._is_unavailable = bool(queue.state().error)
        self._retries: Counter[str] = Counter()
        """Retries for each job; the job with the most is the last of a round."""
        self._counts: Counter[str] = Counter()
        self._retry = Retrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait or wait_exponential_jitter(0.5, max=MAX_RETRY_SECONDS),
            before_sleep=self._before_retry,
        )

    def run(self, idle: float = IDLE_SECONDS) -> None:
        """Send until there has been no unfinished job for `idle` seconds."""
        last_work = time.monotonic()
        while time.monotonic() - last_work < idle:
            unfinished, progressed = self.forward()
            if unfinished:
                last_work = time.monotonic()
            if not progressed:
                time.sleep(POLL_SECONDS)

    def forward(self) -> tuple[bool, bool]:
        """Send one batch of each job; return whether a job is unfinished, and whether there was progress.

        If the receiver is unavailable for a job, retry, with the other jobs first.
        """
        return self._retry(self._forward_all)

    def _forward_all(self) -> tuple[bool, bool]:
        jobs = sorted(self._queue.unfinished(), key=lambda job: self._retries[job.id])
        progress = [self._forward(job) for job in jobs]
        if any(progress) and self._is_unavailable:
            self._is_unavailable = False
            self._report(f"{self._receiver.name} is available again")
        return bool(jobs), any(progress)

    def _forward(self, job: QueuedJob) -> bool:
        batch, position = self._queue.read(job, self._receiver.batch)
        if not batch and not job.status:
            return False
        points = [point for point in batch if point is not None]
        self._counts = Counter(failed=len(batch) - len(points))
        try:
            job = replace(job, run=self._receiver.open(job), position=position)
            if batch:
                self._send(job, points)
            else:
                self._receiver.close(job)
        except UnavailableError:
            self._retries[job.id] += 1
            raise
        except RunRefusedError as error:
            self._give_up(job, error)
        else:
            sent, failed = self._counts["sent"], self._counts["failed"]
            self._queue.record(job, sent=sent, failed=failed, closed=not batch)
        return True

    def _send(self, job: QueuedJob, points: Sequence[AnyPoint]) -> None:
        """Send a batch. If the receiver refuses it, split it, so that only refused values are lost."""
        try:
            self._receiver.send(job, points)
            self._counts["sent"] += len(points)
        except RefusedError as error:
            if len(points) > 1:
                middle = len(points) // 2
                self._send(job, points[:middle])
                self._send(job, points[middle:])
                return
            self._counts["failed"] += 1
            self._report(f"{self._receiver.name} refused a value of job {job.name} ({job.id}): {error}")

    def _give_up(self, job: QueuedJob, error: RunRefusedError) -> None:
        left = self._queue.refuse(job.id)
        self._report(
            f"{self._receiver.name} refused the run of job {job.name} ({job.id}): {error}; {left} values and "
            f"later ones remain in {self._queue.file} and are sent again after a restart of the server"
        )

    def _before_retry(self, state: RetryCallState) -> None:
        error = str(state.outcome.exception() if state.outcome else "")
        if not self._is_unavailable:
            self._is_unavailable = True
            self._report(
                f"{self._receiver.name} is unavailable: {error}; "
                f"values remain in {self._queue.file} until it is available"
            )
        self._queue.record_error(error)


def _print(message: str) -> None:
    print(f"flarefleet: tracking: {message}", file=sys.stderr, flush=True)
