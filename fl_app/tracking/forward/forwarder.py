"""Send queued values to one receiver: in order for each job, at least once, with unlimited retries."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_never, wait_exponential_jitter
from tenacity.wait import wait_base

from fl_app.tracking.forward.receiver import Receiver, RefusedError, UnavailableError
from fl_app.tracking.points import AnyPoint
from fl_app.tracking.queue import Delivery, QueuedJob, TrackingQueue

POLL_SECONDS = 0.5
IDLE_SECONDS = 60.0
"""Time without an unfinished job after which the process exits. The parent starts it again when needed."""
MAX_RETRY_SECONDS = 20.0
"""Upper bound of the time between two retries."""


class Forwarder:
    """Send values to one receiver.

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
        self._is_unavailable = bool(queue.state(receiver.name).error)
        self._counts: Counter[str] = Counter()
        self._retry = Retrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait or wait_exponential_jitter(0.5, max=MAX_RETRY_SECONDS),
            stop=stop_never,
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
        """Send one batch of each job; return whether a job is unfinished, and whether there was progress."""
        deliveries = self._queue.unfinished(self._receiver.name)
        progress = [self._forward(delivery) for delivery in deliveries]
        return bool(deliveries), any(progress)

    def _forward(self, delivery: Delivery) -> bool:
        job, run = delivery.job, delivery.run
        batch, position = self._queue.read(delivery, self._receiver.batch)
        if not batch and not job.status:
            return False
        points = [point for point in batch if point is not None]
        self._counts = Counter(failed=len(batch) - len(points))
        try:
            run = self._retry(self._receiver.open, job, run)
        except RefusedError as error:
            self._fail(job, len(points), error)
        else:
            if batch:
                self._send(job, run, points)
            else:
                self._close(job, run)
        self._queue.record(
            self._receiver.name,
            dataclasses.replace(delivery, position=position, run=run),
            sent=self._counts["sent"],
            failed=self._counts["failed"],
            closed=not batch,
        )
        if self._is_unavailable:
            self._is_unavailable = False
            self._report(f"{self._receiver.name} is available again")
        return True

    def _send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        """Send a batch. If the receiver refuses it, split it, so that only refused values are lost."""
        try:
            self._retry(self._receiver.send, job, run, points)
        except RefusedError as error:
            if len(points) <= 1:
                self._fail(job, len(points), error)
                return
            middle = len(points) // 2
            self._send(job, run, points[:middle])
            self._send(job, run, points[middle:])
        else:
            self._counts["sent"] += len(points)

    def _close(self, job: QueuedJob, run: str) -> None:
        try:
            self._retry(self._receiver.close, job, run)
        except RefusedError as error:
            self._report(
                f"{self._receiver.name}: the run of job {job.name} ({job.id}) is not closed: {error}"
            )

    def _fail(self, job: QueuedJob, number: int, error: RefusedError) -> None:
        self._counts["failed"] += number
        self._report(f"{self._receiver.name} refused {number} values of job {job.name} ({job.id}): {error}")

    def _before_retry(self, state: RetryCallState) -> None:
        error = str(state.outcome.exception() if state.outcome else "")
        if not self._is_unavailable:
            self._is_unavailable = True
            self._report(
                f"{self._receiver.name} is unavailable: {error}; "
                f"values remain in {self._queue.folder} until it is available"
            )
        self._queue.record_error(self._receiver.name, error)


def _print(message: str) -> None:
    print(f"flarefleet: tracking: {message}", file=sys.stderr, flush=True)
