"""Why a job process was killed: the signal, or the kernel because of its memory."""

from __future__ import annotations

import signal
import threading

from fl_app.guard.error_capture import exit_text
from fl_app.launchers.memory_limit import MemoryKills, out_of_memory
from fl_app.launchers.restarts import Death

_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
"""Signals with which a process ends because of its own error."""


class KillReasons:
    """Reasons why the job processes of a parent were killed.

    All job processes share the cgroup of their parent and its counter. One kill explains one job process.

    Args:
        kills: counters of the kernel.
    """

    def __init__(self, kills: MemoryKills | None = None) -> None:
        self._kills = kills or MemoryKills()
        self._lock = threading.Lock()
        self._explained = 0

    def counters(self) -> tuple[int, int]:
        """Return the kernel's counters at the start of a job process, which `of` needs at its end."""
        return self._kills.count()

    def of(self, code: int | None, site: str, before: tuple[int, int]) -> Death | None:
        """Return why a job process was killed; None if it exited by itself.

        Args:
            code: exit code of the process; negative for a signal.
            site: name of the site or server in project.yml.
            before: `counters` when the process was started.
        """
        if code is None or code >= 0:
            return None
        text = f"its job process {exit_text(code)}"
        if -code != signal.SIGKILL:
            return Death(text, is_deterministic=-code in _CRASHES)
        limit, (of_cgroup, of_machine) = self._kills.limit(), self._kills.count()
        if self._explains(of_cgroup, before[0]):
            return Death(f"its job process {out_of_memory(limit, site)}", is_deterministic=True)
        if limit is None and of_machine > before[1]:
            text += "; meanwhile the kernel killed a process of this machine for lack of memory"
        return Death(text)

    def _explains(self, now: int, before: int) -> bool:
        """Return whether the counter has a kill since `before` that explains no other process yet."""
        with self._lock:
            base = max(before, self._explained)
            if now <= base:
                return False
            self._explained = base + 1
            return True
