"""The size of the frames in which a job process sends a model: large ones on fast links.

Each frame costs every process on its way about the same, whatever its size. On a slow link, frames must be
small, so that each arrives in time (`fl_app.launchers.download_timeout`).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from time import monotonic
from typing import Any

USES = {
    "nvflare.fuel.f3.streaming.byte_streamer:TxTask.handle_ack": "rate of a link",
    "nvflare.fuel.f3.streaming.byte_streamer:TxTask.window_size": "bytes that wait for an acknowledgement",
    "nvflare.fuel.f3.streaming.byte_streamer:TxTask.ack_interval": "bytes between two acknowledgements",
    "nvflare.fuel.f3.streaming.byte_streamer:TxTask.offset_ack": "rate of a link",
}

FAST_BYTES_PER_SECOND = 2e6
"""Rate of a fast link: it needs half a second for a large frame, and four for a large window."""
FRAME_BYTES = 1 << 20
"""Size of a frame on a fast link; with 4 MiB, NVFlare's http connections break."""
WINDOW_BYTES = 8 * FRAME_BYTES
"""Bytes that wait for an acknowledgement on a fast link."""
ACKNOWLEDGED_BYTES = 2 * FRAME_BYTES
_MEASURED_BYTES = 1 << 20
"""Acknowledged bytes of a stream from which its rate is taken."""


class Rates:
    """The rates of the links to other cells, in bytes a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, float] = defaultdict(float)

    def note(self, target: str, size: int, seconds: float) -> None:
        """Remember how long the last stream to a cell has taken so far."""
        if size >= _MEASURED_BYTES:
            with self._lock:
                self._of[target] = size / max(seconds, 1e-3)

    def is_fast(self, target: str) -> bool:
        """Return whether the link is fast, as far as known."""
        with self._lock:
            return self._of[target] >= FAST_BYTES_PER_SECOND


def send_large_frames_on_fast_links() -> None:
    """Let this process send streams in large frames to cells that received an earlier one fast.

    Receivers follow the sender's sizes, as the frames carry them. Larger configured sizes remain.
    """
    from nvflare.fuel.f3.streaming import byte_streamer

    if byte_streamer.TxTask.__module__ == __name__:
        return
    rates = Rates()

    class AdaptiveTask(byte_streamer.TxTask):
        """A stream to another cell."""

        __module__ = __name__

        def __init__(
            self, cell: Any, chunk_size: int, channel: str, topic: str, target: str, *rest: Any
        ) -> None:
            is_fast = rates.is_fast(target)
            frame = max(chunk_size, FRAME_BYTES) if is_fast else chunk_size
            super().__init__(cell, frame, channel, topic, target, *rest)
            if is_fast:
                self.window_size: int = max(int(self.window_size), WINDOW_BYTES)
                self.ack_interval: int = max(int(self.ack_interval), ACKNOWLEDGED_BYTES)
            self._begin = monotonic()

        def handle_ack(self, message: Any) -> None:
            """Note the rate."""
            super().handle_ack(message)
            rates.note(self.target, self.offset_ack, monotonic() - self._begin)

    byte_streamer.TxTask = AdaptiveTask
