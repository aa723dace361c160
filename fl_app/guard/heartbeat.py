"""Detect lost sites: a round of NVFlare has no timeout and would wait for them forever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from nvflare.apis.controller_spec import Task

from fl_app.guard.finding import Finding
from fl_app.nvflare_internals.guard import open_tasks_without_timeout, results_needed

HEARTBEAT_TOPIC = "flarefleet.guard.alive"
HEARTBEAT_INTERVAL = 10.0
"""Seconds between two heartbeats of a site's job process."""
CHECK_INTERVAL = 5.0
"""Seconds between two checks by the server."""


class Heartbeats:
    """The time of the last contact with each site.

    An idle site polls for tasks all the time. A site with a task sends only heartbeats of its guard. If it
    never sent one, it has no guard and is not overdue.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last_contact: dict[str, float] = {}
        self._with_heartbeat: set[str] = set()
        self._with_task: set[str] = set()

    def expect(self, sites: Iterable[str]) -> None:
        """Start to wait for these sites."""
        with self._lock:
            for site in sites:
                self._last_contact.setdefault(site, self._clock())

    def polled(self, site: str) -> None:
        """Record that the site asked for a task."""
        with self._lock:
            self._last_contact[site] = self._clock()

    def received(self, site: str) -> None:
        """Record a heartbeat of the site's guard."""
        with self._lock:
            self._last_contact[site] = self._clock()
            self._with_heartbeat.add(site)

    def assigned(self, site: str) -> None:
        """Record that the site has a task."""
        with self._lock:
            self._with_task.add(site)

    def returned(self, site: str) -> None:
        """Record that the site returned the result of its task."""
        with self._lock:
            self._last_contact[site] = self._clock()
            self._with_task.discard(site)

    def overdue(self, timeout: float) -> dict[str, float]:
        """Return the sites without contact for more than `timeout` seconds, each with its seconds."""
        with self._lock:
            now = self._clock()
            return {
                site: now - last
                for site, last in self._last_contact.items()
                if now - last > timeout and (site in self._with_heartbeat or site not in self._with_task)
            }


def find_lost_site(controller: Any, overdue: Mapping[str, float]) -> Finding | None:
    """Return a finding if a task without a timeout cannot complete because sites are lost.

    Args:
        controller: NVFlare's controller of the running workflow, or None.
        overdue: seconds without contact, by site.
    """
    for task in open_tasks_without_timeout(controller) if overdue else ():
        if lost := blocking_sites(task, overdue.keys()):
            return Finding(
                f"no heartbeat for {max(overdue[site] for site in lost):.0f} s, and the task '{task.name}' "
                "waits for it without a timeout",
                "Check the site (flarefleet status, flarefleet logs), then submit the job again.",
                site=", ".join(lost),
                rule="lost_site",
            )
    return None


def blocking_sites(task: Task, sites: Collection[str]) -> list[str]:
    """Return those of `sites` without whose results the task cannot complete."""
    needed = results_needed(task)
    if needed is None:
        working = {one.client.name for one in task.client_tasks if one.result_received_time is None}
        return sorted(working & set(sites))
    targets = set(task.targets or ())
    returned = {one.client.name for one in task.client_tasks if one.result_received_time is not None}
    missing = sorted((targets - returned) & set(sites))
    return missing if len(targets) - len(missing) < needed else []
