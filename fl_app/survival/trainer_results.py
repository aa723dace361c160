"""Results of an external training process, which must not depend on the server's process of the job."""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fl_app.nvflare_internals.training_script import has_training_process, receive_result, receive_result_here


class TrainerResults:
    """Let the site's process of a job receive the whole result. Part of that process.

    NVFlare's training process keeps its result until the server's process has downloaded it. If that process
    is killed before, the training process waits ten minutes, and then fails.

    Events: BEFORE_TASK_EXECUTION names the receiver, AFTER_TASK_EXECUTION downloads the result.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type not in (EventType.BEFORE_TASK_EXECUTION, EventType.AFTER_TASK_EXECUTION):
            return
        cell = fl_ctx.get_engine().get_cell()
        if not has_training_process(cell):
            return
        if event_type == EventType.BEFORE_TASK_EXECUTION:
            task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
            if isinstance(task, Shareable):
                receive_result_here(cell, task)
        else:
            result = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
            if isinstance(result, Shareable):
                receive_result(cell, result, fl_ctx)
