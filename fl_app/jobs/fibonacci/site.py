"""A site of the job `fibonacci`: it computes the sequence up to its level and returns the sum."""

from __future__ import annotations

import logging

from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fl_app.jobs.fibonacci.numbers import MAX_LEVEL, pyramid, sequence, to_wire

TASK = "fibonacci"
LEVEL, SUM = "fibonacci_level", "fibonacci_sum"
"""Keys of FLModel.meta for the server's parameter and the site's answer."""


class FibonacciSite(Executor):
    """One site."""

    def __init__(self) -> None:
        super().__init__()
        self._log = logging.getLogger(type(self).__name__)

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Return the sum of the first `level` Fibonacci numbers."""
        if task_name != TASK:
            return make_reply(ReturnCode.TASK_UNKNOWN)
        received = FLModelUtils.from_shareable(shareable)
        level = (received.meta or {}).get(LEVEL)
        if type(level) is not int or not 1 <= level <= MAX_LEVEL:
            self.log_error(fl_ctx, f"meta[{LEVEL!r}] must be an integer from 1 to {MAX_LEVEL}: {level!r}")
            return make_reply(ReturnCode.BAD_TASK_DATA)
        numbers = sequence(level)
        total = sum(numbers)
        self._log.info(
            "round %d, level %d:\n%s\nsum %d",
            (received.current_round or 0) + 1,
            level,
            pyramid(numbers),
            total,
        )
        return FLModelUtils.to_shareable(FLModel(params={}, meta={SUM: to_wire(total)}))
