"""How long a site waits for an answer of the server's job process, by the size of the model.

NVFlare's sites wait 300 s without any byte: a site that sends its result to a process that was just killed
would lose five minutes. The kits set `communication_timeout` to TRANSFER_TIMEOUT_SECONDS. NVFlare raises it
at a site whose task says so, and the tasks with large models do: the server then needs longer to answer. If
survival is disabled, every task raises it to NVFlare's 300 s. Bytes that arrive start the timeout anew.
"""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.contract import TRANSFER_TIMEOUT_SECONDS
from fl_app.guard.rules import size_of
from fl_app.guard.task import model_in
from fl_app.survival.limits import survival_enabled

NVFLARES_TIMEOUT_SECONDS = 300.0
"""The timeout if survival is disabled: NVFlare's default of `communication_timeout`."""
BYTES_PER_SECOND = 20e6
"""Speed at which a busy server reads, checks and adds up a model."""


def timeout_of(size: int) -> float:
    """Return the timeout for a model of this size in bytes, in seconds."""
    seconds = TRANSFER_TIMEOUT_SECONDS + size / BYTES_PER_SECOND
    return seconds if survival_enabled() else max(seconds, NVFLARES_TIMEOUT_SECONDS)


class TransferTimeout:
    """Announce the timeout with each task. Part of the server's process of a job.

    Events: AFTER_TASK_DATA_FILTER.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type != EventType.AFTER_TASK_DATA_FILTER:
            return
        model = model_in(fl_ctx.get_prop(FLContextKey.TASK_DATA))
        seconds = timeout_of(size_of(model.parameters) if model else 0)
        if seconds > float(fl_ctx.get_prop(FLContextKey.MIN_GET_TASK_TIMEOUT) or 0):
            fl_ctx.set_prop(FLContextKey.MIN_GET_TASK_TIMEOUT, seconds, sticky=True)  # as NVFlare sets it
