"""Delays between the restarts of a process: none at first, longer while it keeps failing."""

from __future__ import annotations

MAX_DELAY_SECONDS = 30.0
STABLE_SECONDS = 60.0
"""A process that ran for this long has recovered: its next restart has no delay."""


class Backoff:
    """Delays of 0, 1, 2, 4 and at most 30 seconds; 0 again after a process that ran for a minute."""

    def __init__(self) -> None:
        self._failures = 0

    def delay_after(self, ran: float) -> float:
        """Return the seconds to wait before the next start of a process that ran for `ran` seconds."""
        self._failures = 0 if ran >= STABLE_SECONDS else self._failures
        delay = min(2.0 ** (self._failures - 1), MAX_DELAY_SECONDS) if self._failures else 0.0
        self._failures += 1
        return delay
