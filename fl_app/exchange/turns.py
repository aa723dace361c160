"""Downloads of large models take turns, so that a process holds few of them at a time.

All sites of a round may send their results at once. The first ones in the order of their names, in which they
are added up, go on at full speed. The others go on slowly, because a sender gives up a transfer that stands
still.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 2
"""Downloads at full speed: one arrives while the one before it is checked and added."""
STALLED_SECONDS = 2.0
"""Time without progress after which a download no longer delays others."""
LONGEST_SECONDS = 5.0
"""Time after which a download goes on in any case; a fourth of TRANSFER_TIMEOUT_SECONDS."""
_POLL_SECONDS = 0.05


class Turns:
    """The downloads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: dict[Turn, float] = {}

    @contextmanager
    def take(self, sender: str) -> Iterator[Turn]:
        """Take part from the beginning to the end of a download.

        Args:
            sender: name of the sender, which decides on the order.
        """
        turn = Turn(self, sender)
        try:
            yield turn
        finally:
            with self._lock:
                self._progress.pop(turn, None)

    def is_due(self, turn: Turn) -> bool:
        """Return whether fewer than AT_ONCE downloads before this one make progress; if so, note its own."""
        now = time.monotonic()
        with self._lock:
            before = [
                other
                for other, progress in self._progress.items()
                if other.sender < turn.sender and now - progress < STALLED_SECONDS
            ]
            if len(before) >= AT_ONCE:
                return False
            self._progress[turn] = now
            return True


class Turn:
    """One download."""

    def __init__(self, turns: Turns, sender: str) -> None:
        self.sender = sender
        self._turns = turns

    def wait(self) -> None:
        """Wait until it is this download's turn, at most LONGEST_SECONDS; call it before each large part."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while not self._turns.is_due(self) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
