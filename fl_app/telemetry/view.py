"""The state of a parent that telemetry serves: health, readiness, and metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from prometheus_client.core import Metric


class View(Protocol):
    """State of a parent. Every method returns immediately and may be called from any thread."""

    def unhealthy(self) -> str | None:
        """Return why the parent must be restarted; None if it is healthy."""
        ...

    def not_ready(self) -> str | None:
        """Return why the parent is not ready; None if it is."""
        ...

    def metrics(self) -> Iterable[Metric]:
        """Return the metrics that only this kind of parent has."""
        ...


class Starting:
    """State of a parent before NVFlare runs.

    Args:
        reason: what the parent waits for.
    """

    def __init__(self, reason: str = "starting") -> None:
        self.reason = reason

    def unhealthy(self) -> str | None:
        """Return None: a failed start exits with a message of its own."""
        return None

    def not_ready(self) -> str | None:
        """Return what the parent waits for."""
        return self.reason

    def metrics(self) -> Iterable[Metric]:
        """Return no metrics."""
        return ()
