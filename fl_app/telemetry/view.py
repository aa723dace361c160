"""What telemetry shows of a parent: whether it is healthy and ready, with reasons, and its metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from prometheus_client.core import Metric


class View(Protocol):
    """A parent, looked at from outside. Every question is answered at once, from any thread."""

    def unhealthy(self) -> str | None:
        """Why only a restart can help; None if nothing calls for one."""
        ...

    def not_ready(self) -> str | None:
        """Why it is not ready; None if it is."""
        ...

    def metrics(self) -> Iterable[Metric]:
        """What only this kind of parent has to tell."""
        ...


class Starting:
    """The view of a parent that NVFlare has not begun yet.

    Args:
        reason: what it waits for.
    """

    def __init__(self, reason: str = "it starts") -> None:
        self.reason = reason

    def unhealthy(self) -> str | None:
        """Never: whatever keeps it from starting ends the process, with a line of its own."""
        return None

    def not_ready(self) -> str | None:
        """What it waits for."""
        return self.reason

    def metrics(self) -> Iterable[Metric]:
        """None yet."""
        return ()
