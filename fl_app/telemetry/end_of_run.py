"""Act at the very end of a job, after NVFlare has delivered the last values."""

from __future__ import annotations

from collections.abc import Callable

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext


class AtEndOfRun(FLComponent):
    """Run an action at the end of the run, after all handlers that were added before it.

    NVFlare's FedEventRunner still delivers values at END_RUN.
    """

    def __init__(self, action: Callable[[FLContext], None]) -> None:
        super().__init__()
        self._action = action

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Run the action at END_RUN."""
        if event_type == EventType.END_RUN:
            self._action(fl_ctx)
