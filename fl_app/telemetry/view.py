"""The state of a parent that telemetry serves: health, readiness, and metrics."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric


class View:
    """State of a parent. Every method returns immediately and may be called from any thread."""

    def unhealthy(self) -> str | None:
        """Return why the parent must be restarted; None if it is healthy."""
        return None

    def not_ready(self) -> str | None:
        """Return why the parent is not ready; None if it is."""
        return None

    def metrics(self) -> Iterable[Metric]:
        """Return the metrics that only this kind of parent has."""
        return ()


class Starting(View):
    """State of a parent before NVFlare runs: healthy, since a failed start exits with a message of its own.

    Args:
        reason: what the parent waits for.
    """

    def __init__(self, reason: str = "starting") -> None:
        self.reason = reason

    def not_ready(self) -> str | None:
        """Return what the parent waits for."""
        return self.reason
