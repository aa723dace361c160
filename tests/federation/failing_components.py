"""Components of a job that fail at site-2; a copy lies in the custom folder of the job."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from nvflare.apis.executor import Executor
from nvflare.apis.filter import Filter
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

IS_FAILING_SITE = "site-2" in sys.orig_argv


class RaisingExecutor(Executor):  # type: ignore[misc]
    """Return the task unchanged; raise at site-2."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = Path(mark)

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Raise at site-2."""
        if IS_FAILING_SITE:
            fail(self.mark)
        return shareable


class RaisingFilter(Filter):  # type: ignore[misc]
    """Return the message unchanged; raise at site-2."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = Path(mark)

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Raise at site-2."""
        if IS_FAILING_SITE:
            fail(self.mark)
        return shareable


class NeedsMissingPackage(RaisingFilter):
    """Cannot be constructed at site-2."""

    def __init__(self, mark: str) -> None:
        super().__init__(mark)
        if IS_FAILING_SITE:
            self.mark.write_text(str(time.time()))
            import medpy  # noqa: F401


def fail(mark: Path) -> Any:
    """Record the time, and raise."""
    mark.write_text(str(time.time()))
    raise KeyError("age")
