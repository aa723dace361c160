"""Reads the queue and sends it, job by job: in order, at least once, for as long as it takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_never, wait_exponential_jitter
from tenacity.wait import wait_base

from fl_app.tracking.forward.receiver import NotTaken, Receiver, Unreachable
from fl_app.tracking.points import AnyPoint
from fl_app.tracking.queue import (
    QueuedJob,
    Sent,
    is_queued,
    queued_jobs,
    read_batch,
    sent_of,
    totals_of,
    write,
)

LOOK_SECONDS = 0.5
"""Between two looks into the queue."""
IDLE_SECONDS = 60.0
"""Without an unfinished job for so long, the process ends; the parent starts it again."""
LONGEST_PAUSE_SECONDS = 20.0
"""Between two tries of a tracker that does not answer."""


class Forwarding:
    """Sends to one receiver.

    Args:
        receiver: the tracker.
        root: the queue's folder.
        pause: how long to wait between tries.
        say: where a line for a person goes.
    """

    def __init__(
        self,
        receiver: Receiver,
        root: Path,
        pause: wait_base | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._receiver = receiver
        self._root = root
        self._say = say or _say
        self._totals = totals_of(root, receiver.name)
        self._again = Retrying(
            retry=retry_if_exception_type(Unreachable),
            wait=pause or wait_exponential_jitter(0.5, max=LONGEST_PAUSE_SECONDS),
            stop=stop_never,
            before_sleep=lambda state: self._in_trouble(state.outcome.exception() if state.outcome else None),
        )

    def run(self, idle: float = IDLE_SECONDS) -> None:
        """Send until there has been no unfinished job for `idle` seconds."""
        last_work = time.monotonic()
        while time.monotonic() - last_work < idle:
            unfinished, moved = self.look()
            if unfinished:
                last_work = time.monotonic()
            if not moved:
                time.sleep(LOOK_SECONDS)

    def look(self) -> tuple[bool, bool]:
        """Send one batch of each job; whether any is unfinished, and whether anything was done."""
        unfinished = moved = False
        for job in queued_jobs(self._root):
            sent = sent_of(self._root, job.id, self._receiver.name)
            if sent.done or not is_queued(self._root, job.id):  # all is sent, or was and is swept since
                continue
            unfinished = True
            moved |= self._step(job, sent)
        return unfinished, moved

    def _step(self, job: QueuedJob, sent: Sent) -> bool:
        lines, offset = read_batch(self._root, job.id, sent.offset, self._receiver.batch)
        if not lines and not job.status:
            return False
        run = sent.run
        try:
            run = self._again(self._receiver.open, job, sent.run)
        except NotTaken as error:
            self._lose(job, sum(point is not None for point in lines), error)
        else:
            if lines:
                self._send(job, run, [point for point in lines if point is not None])
            else:
                self._end(job, run)
        self._totals = self._totals.model_copy(
            update={"failed": self._totals.failed + sum(point is None for point in lines)}
        )
        done = not lines
        self._write(job, Sent(offset=offset, points=sent.points + len(lines), run=run, done=done))
        return True

    def _send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        """Send a batch; of one that is refused, all that is not refused by itself."""
        try:
            self._again(self._receiver.send, job, run, points)
        except NotTaken as error:
            if len(points) <= 1:
                self._lose(job, len(points), error)
                return
            middle = len(points) // 2
            self._send(job, run, points[:middle])
            self._send(job, run, points[middle:])
        else:
            self._totals = self._totals.model_copy(update={"sent": self._totals.sent + len(points)})

    def _end(self, job: QueuedJob, run: str) -> None:
        try:
            self._again(self._receiver.end, job, run)
        except NotTaken as error:
            self._say(f"{self._receiver.name}: the run of job {job.name} ({job.id}) is not closed: {error}")

    def _lose(self, job: QueuedJob, number: int, error: NotTaken) -> None:
        self._totals = self._totals.model_copy(update={"failed": self._totals.failed + number})
        self._say(f"{self._receiver.name}: refuses {number} values of job {job.name} ({job.id}): {error}")

    def _in_trouble(self, error: BaseException | None) -> None:
        reason = str(error)
        if not self._totals.trouble:
            self._say(
                f"{self._receiver.name} does not take anything now; what is logged waits in {self._root} "
                f"and is sent when it does: {reason}"
            )
        self._totals = self._totals.model_copy(update={"trouble": reason})
        write(self._root / f"{self._receiver.name}.json", self._totals)

    def _write(self, job: QueuedJob, sent: Sent) -> None:
        if self._totals.trouble:
            self._say(f"{self._receiver.name} takes what is logged again")
            self._totals = self._totals.model_copy(update={"trouble": ""})
        write(self._root / job.id / f"{self._receiver.name}.json", sent)
        write(self._root / f"{self._receiver.name}.json", self._totals)


def _say(line: str) -> None:
    print(f"flarefleet: tracking: {line}", file=sys.stderr, flush=True)
