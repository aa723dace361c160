"""Restarts of a job's process or pod after something killed it: how often, after which pause, and why."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fl_app.child_process import is_ending
from fl_app.launchers.progress import follow, unfollow
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.limits import survival_enabled

MAX_RESTARTS = 5
"""Restarts of a job process without progress in between."""
MAX_DETERMINISTIC_RESTARTS = 2
"""The same, if the reason is probably the job itself, such as a crash or too little memory."""
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 10.0
"""Pause before the second restart without progress, doubled for each further one, and its maximum."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Death:
    """The end of a job's process or pod that neither NVFlare nor the job itself caused."""

    text: str
    """What happened, without the site: `its job process was killed by signal 9 (SIGKILL)`."""
    is_deterministic: bool = False
    """Whether the same will probably happen again, such as a crash."""


class RestartBudget:
    """The number of restarts that are left until the job makes progress.

    Args:
        limit: restarts without progress.
        deterministic_limit: restarts without progress after a deterministic death.
    """

    def __init__(
        self, limit: int = MAX_RESTARTS, deterministic_limit: int = MAX_DETERMINISTIC_RESTARTS
    ) -> None:
        self._limit = limit
        self._deterministic_limit = min(limit, deterministic_limit)
        self._best: int | None = None
        self.restarts = self._deterministic = 0

    def progressed(self, position: int | None = None) -> None:
        """Allow all restarts again.

        Args:
            position: number of the round that was reached; one that was reached before is no progress, as
                after a restart from the first round. None: a step without a number.
        """
        if position is not None:
            if self._best is not None and position <= self._best:
                return
            self._best = position
        self.restarts = self._deterministic = 0

    def pause(self, death: Death) -> float | None:
        """Use one restart; return the seconds to wait before it, or None if no restart is left."""
        if self.restarts >= self._limit:
            return None
        if death.is_deterministic:
            if self._deterministic >= self._deterministic_limit:
                return None
            self._deterministic += 1
        self.restarts += 1
        if self.restarts == 1:
            return 0.0
        return min(FIRST_PAUSE_SECONDS * 2 ** (self.restarts - 2), MAX_PAUSE_SECONDS)


class Restarts:
    """Restarts of one job's process or pod, with a line in the job's history for each.

    Args:
        engine: NVFlare's engine of the parent.
        job_id: the job.
        site: name of the site; empty for the server.
        is_aborted: returns whether NVFlare was asked to end the job.
        budget: restarts that are left; None: the default, or none if survival is disabled.
    """

    def __init__(
        self,
        engine: Any,
        job_id: str,
        site: str,
        is_aborted: Callable[[], bool] = lambda: False,
        budget: RestartBudget | None = None,
    ) -> None:
        self.job_id = job_id
        self.stopped = threading.Event()
        """Set when the job must not be started again."""
        self._engine = engine
        self._site = site
        self._is_aborted = is_aborted
        self._budget = budget or RestartBudget(MAX_RESTARTS if survival_enabled() else 0)
        self._lock = threading.Lock()
        if engine is not None:
            follow(engine.cell, job_id, self.progressed)

    def progressed(self, position: int | None = None) -> None:
        """Allow all restarts again; see `RestartBudget.progressed`."""
        with self._lock:
            self._budget.progressed(position)

    def allow(self, death: Death) -> bool:
        """Wait the pause before the next restart, and return whether to restart. Record the restart."""
        if self.is_requested():
            return False
        with self._lock:
            pause, number = self._budget.pause(death), self._budget.restarts
        if pause is None or self.stopped.wait(pause) or self.is_requested():
            return False
        _log.warning("job %s: %s; it is started again (restart %d)", self.job_id, death.text, number)
        threading.Thread(target=self._record, args=(death,), name="job-history", daemon=True).start()
        return True

    def is_requested(self) -> bool:
        """Return whether the end of the process or pod was requested: an abort, or its parent ends."""
        return self.stopped.is_set() or is_ending() or self._is_aborted()

    def final(self, death: Death) -> Death:
        """Return the death after which no restart is left, with the number of restarts before it."""
        with self._lock:
            restarts = self._budget.restarts
        if not restarts:
            return death
        return Death(f"{death.text}, {restarts + 1} times without progress", death.is_deterministic)

    def close(self) -> None:
        """Stop to follow the progress of a job that has ended."""
        unfollow(self.job_id, self.progressed)

    def _record(self, death: Death) -> None:
        intervention = Intervention(Kind.RESTARTED, f"{death.text}; started again", self._site)
        try:
            record(self._engine, self.job_id, intervention)
        except Exception:  # the history must not affect the job
            _log.exception("recording a restart of job %s failed", self.job_id)
