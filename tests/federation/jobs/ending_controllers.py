"""Controllers of a job that end it on the server; a copy lies in the custom folder of the job."""

from __future__ import annotations

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal


class Panics(Controller):  # type: ignore[misc]
    """End the job with a reason that no log names as an error."""

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Do nothing."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """End the job."""
        self.system_panic("the cohort of 2026 is empty", fl_ctx)

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Do nothing."""


class Raises(Panics):
    """Raise an exception."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Raise."""
        raise ValueError("no such cohort: 2026")
