"""Sites that have fallen silent while a job waits for them: NVFlare's rounds have no timeout, and would wait
for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from nvflare.apis.controller_spec import Task
from nvflare.apis.impl.bcast_manager import BcastTaskManager

from fl_app.guard.finding import Finding

ALIVE_TOPIC = "flarefleet.guard.alive"
ALIVE_EVERY = 10.0
"""Seconds between two signs of life of a site's job process."""
CHECK_EVERY = 5.0
"""Seconds between two looks of the server at who is silent."""

_MANAGER, _MIN_RESPONSES, _RESULT_TIMEOUT = "___mgr", "__min_responses", "__task_result_timeout"


class SignsOfLife:
    """When each site was last heard of.

    A site at work asks for nothing, so only one whose guard sends signs of life can be told from a dead
    one; a site without work asks for some all the time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._signals: set[str] = set()
        self._working: set[str] = set()

    def expect(self, sites: Iterable[str]) -> None:
        """These take part, and begin now."""
        with self._lock:
            for site in sites:
                self._last.setdefault(site, self._clock())

    def seen(self, site: str) -> None:
        """It asked for work."""
        with self._lock:
            self._last[site] = self._clock()

    def signalled(self, site: str) -> None:
        """Its guard says that it lives."""
        with self._lock:
            self._last[site] = self._clock()
            self._signals.add(site)

    def assigned(self, site: str) -> None:
        """It has work now."""
        with self._lock:
            self._working.add(site)

    def answered(self, site: str) -> None:
        """It has returned its result."""
        with self._lock:
            self._last[site] = self._clock()
            self._working.discard(site)

    def silent(self, seconds: float) -> dict[str, float]:
        """The sites that are not heard of for so long although they should be, each with its silence."""
        with self._lock:
            now = self._clock()
            return {
                site: now - last
                for site, last in self._last.items()
                if now - last > seconds and (site in self._signals or site not in self._working)
            }


def waiting_in_vain(controller: Any, silent: dict[str, float]) -> Finding | None:
    """A task that has no timeout, and cannot end without a site that is silent.

    Args:
        controller: NVFlare's, of the workflow that runs.
        silent: the silent sites, each with its seconds.
    """
    for task in standing_tasks(controller) if silent else ():
        if missing := held_up_by(task, silent.keys()):
            return Finding(
                f"not heard of for {max(silent[site] for site in missing):.0f} s, and the task '{task.name}' "
                "waits for it without end",
                "Look at the site (flarefleet status, flarefleet logs), and submit the job again.",
                site=", ".join(missing),
            )
    return None


def standing_tasks(controller: Any) -> list[Task]:
    """The tasks of a workflow that are not done, and for which NVFlare would wait without end.

    Args:
        controller: NVFlare's; None between two workflows.
    """
    communicator = getattr(controller, "communicator", None)
    return [
        task
        for task in list(getattr(communicator, "_tasks", ()))
        if not task.timeout and not task.props.get(_RESULT_TIMEOUT) and task.completion_status is None
    ]


def held_up_by(task: Task, sites: Collection[str]) -> list[str]:
    """Those of the sites without which a task cannot end."""
    if isinstance(task.props.get(_MANAGER), BcastTaskManager):
        targets = set(task.targets or ())
        answered = {one.client.name for one in task.client_tasks if one.result_received_time is not None}
        missing = sorted((targets - answered) & set(sites))
        needed = task.props.get(_MIN_RESPONSES) or len(targets)
        return missing if len(targets) - len(missing) < needed else []
    at_work = {one.client.name for one in task.client_tasks if one.result_received_time is None}
    return sorted(at_work & set(sites))
