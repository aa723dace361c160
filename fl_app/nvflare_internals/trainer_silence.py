"""How long a site's training process is silent: the time in which this process was stopped does not count.

NVFlare gives a training process up after 30 s without a heartbeat. If a machine or a container was stopped
for longer (SIGSTOP, a freeze by the hypervisor), its first look would find both processes well, and the
heartbeat of the training process too old.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

USES = {
    "nvflare.app_common.executors.client_api.cell_backend:CellSession.silent_for": (
        "do not count the time in which a process was stopped"
    ),
    "nvflare.app_common.executors.client_api.cell_backend:CellSession.peer_silent_for": "the same",
}

STOP_SECONDS = 3.0
"""A process whose thread wakes up so much too late was stopped. A busy machine delays it less."""
_TICK_SECONDS = 0.5
_KEPT = 100


class Stops:
    """The times in which this process was stopped.

    Args:
        clock: time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = clock()
        self._stops: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        """Begin and end of each."""

    def tick(self) -> None:
        """Show that this process is running; to be called every `_TICK_SECONDS`."""
        now = self._clock()
        with self._lock:
            if now - self._last > STOP_SECONDS:
                self._stops.append((self._last, now))
            self._last = now

    def without(self, seconds: float) -> float:
        """Return the last `seconds` without those in which this process was stopped."""
        self.tick()  # this thread may be the first that runs again
        with self._lock:
            begin = self._last - seconds
            stopped = sum(max(0.0, end - max(start, begin)) for start, end in self._stops)
        return max(0.0, seconds - stopped)


def ignore_stops() -> None:
    """Let NVFlare ignore the time in which this process was stopped, from now on."""
    from nvflare.app_common.executors.client_api.cell_backend import CellSession

    stops, silent_for = Stops(), CellSession.silent_for

    def silent_while_running(self: Any) -> float | None:
        silence = silent_for(self)
        return None if silence is None else stops.without(silence)

    CellSession.silent_for = CellSession.peer_silent_for = silent_while_running
    threading.Thread(target=_tick, args=(stops,), name="stops", daemon=True).start()


def _tick(stops: Stops) -> None:
    while True:
        time.sleep(_TICK_SECONDS)
        stops.tick()
