"""How long a site waits for an answer of the server's job process, by the size of the model.

NVFlare's sites wait 300 s without any byte: a site that sends its result to a process that was just killed
would lose five minutes. The kits set `communication_timeout` to TIMEOUT_SECONDS. NVFlare raises it at a site
whose task says so, and the tasks with large models do: the server then needs longer to answer. Bytes that
arrive start the timeout anew, so that the bandwidth does not matter.
"""

from __future__ import annotations

import os

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.contract import TRANSFER_TIMEOUT_SECONDS
from fl_app.guard.rules import size_of
from fl_app.guard.task import model_in

DOWNLOAD_VARIABLES = (
    "NVFLARE_TENSOR_STREAMING_PER_REQUEST_TIMEOUT",
    "NVFLARE_NP_STREAMING_PER_REQUEST_TIMEOUT",
)
"""Settings of NVFlare: seconds that a site waits for a part of a model, 600 by default."""
BYTES_PER_SECOND = 20e6
"""Speed at which a busy server reads, checks and adds up a model."""


def timeout_of(size: int) -> float:
    """Return the timeout for a model of this size in bytes, in seconds."""
    return TRANSFER_TIMEOUT_SECONDS + size / BYTES_PER_SECOND


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


class DownloadTimeout:
    """Limit the wait for each part of a task's model. Part of a site's process of a job.

    A site that downloads its task from a process that was just killed would wait ten minutes. If a part is
    late, NVFlare asks for it again three times, and then for the task.

    Events: START_RUN, before NVFlare reads the setting.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.START_RUN:
            for name in DOWNLOAD_VARIABLES:
                os.environ.setdefault(name, str(TRANSFER_TIMEOUT_SECONDS))
